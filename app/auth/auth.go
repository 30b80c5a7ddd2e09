package auth

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/app"
)

// Store is what auth needs of the store.
type Store interface {
	Operator(ctx context.Context, id app.OperatorID) (app.Operator, error)
	OperatorByEmail(ctx context.Context, email string) (app.Operator, error)
	Operators(ctx context.Context) ([]app.Operator, error)
	InsertOperator(ctx context.Context, o app.Operator) error
	DeleteOperator(ctx context.Context, id app.OperatorID) error
	UpdateOperatorPassword(ctx context.Context, id app.OperatorID, before, after string) error
	ReplaceOperatorPassword(ctx context.Context, id app.OperatorID, before, after string, keep [32]byte) error

	Claimed(ctx context.Context) (bool, error)
	ClaimOpen(ctx context.Context, hash [32]byte, now time.Time) (bool, error)
	UpdateClaim(ctx context.Context, hash [32]byte, expires time.Time) (open bool, err error)
	InsertFirstOperator(ctx context.Context, hash [32]byte, o app.Operator) (claimed bool, err error)
	OperatorLinkOpen(ctx context.Context, hash [32]byte, now time.Time) (bool, error)
	InsertOperatorLink(ctx context.Context, id app.OperatorID, hash [32]byte, now, expires time.Time) error

	OperatorSession(ctx context.Context, hash [32]byte) (app.Session, app.Operator, error)
	OperatorSessions(ctx context.Context, id app.OperatorID) ([]app.Session, error)
	InsertOperatorSession(ctx context.Context, s app.Session, passwordHash string) error
	InsertOperatorSessionByLink(ctx context.Context, link [32]byte, s app.Session) (app.Operator, error)
	TouchOperatorSession(ctx context.Context, hash [32]byte, at time.Time) error
	UpdateOperatorSession(ctx context.Context, hash, fresh [32]byte, at time.Time) error
	DeleteOperatorSession(ctx context.Context, id app.OperatorID, hash [32]byte) error
	DeleteOperatorSessions(ctx context.Context, id app.OperatorID, keep [32]byte) (int, error)

	InsertUserSession(ctx context.Context, org app.OrgID, s app.Session) error
	UserSessionByHash(ctx context.Context, hash [32]byte) (app.Session, error)
	UserSessions(ctx context.Context, org app.OrgID, user string) ([]app.Session, error)
	TouchUserSession(ctx context.Context, org app.OrgID, hash [32]byte, at time.Time) error
	DeleteUserSession(ctx context.Context, org app.OrgID, hash [32]byte) error
	DeleteUserSessions(ctx context.Context, org app.OrgID, user string) (int, error)
	DeleteExpiredSessions(ctx context.Context, now, idle time.Time) error
}

// Options of a Service. Store, Sealer, Now and Log are required.
type Options struct {
	Store   Store
	Counter Counter     // shared by replicas; nil: this process counts alone
	Sealer  *app.Sealer // seals the device token
	Now     func() time.Time
	Log     *slog.Logger
	Bounds  Bounds // zero: DefaultBounds
}

// Service signs people in.
type Service struct {
	o      Options
	hasher *hasher
	guard  *guard
}

// New returns a service.
func New(o Options) *Service {
	if o.Bounds == (Bounds{}) {
		o.Bounds = DefaultBounds()
	}
	return &Service{o: o, hasher: newHasher(runtime.NumCPU(), currentCost),
		guard: &guard{shared: o.Counter, local: NewMemoryCounter(o.Now), bounds: o.Bounds}}
}

// Client is the browser on the other side.
type Client struct {
	Address   netip.Addr
	UserAgent string
	Device    string // what an earlier sign-in gave as SignedIn.Device; may be empty
}

// SignedIn is a fresh session. Cookie is the secret that the browser keeps, for
// the only time; Device marks the browser as one that has signed in.
type SignedIn struct {
	Cookie   string
	Device   string
	Session  app.Session
	Operator app.Operator
}

// Attempt is an e-mail address and a password, and where they came from.
type Attempt struct {
	Email    string
	Password string
	Client   Client
}

// SignIn checks a password and begins a session. Errors: sign_in_failed, the
// same for an unknown account and a wrong password; sign_in_limited with the
// time to wait; sign_in_busy.
func (s *Service) SignIn(ctx context.Context, a Attempt) (SignedIn, error) {
	email := normalEmail(a.Email)
	operator, err := s.o.Store.OperatorByEmail(ctx, email)
	if err != nil && !app.IsKind(err, app.KindNotFound) {
		return SignedIn{}, err
	}
	device := s.deviceOf(a.Client.Device, operator.ID)
	if err := s.guard.pass(ctx, s.o.Bounds.signIn(email, a.Client.Address, device)...); err != nil {
		return SignedIn{}, err
	}
	if len(a.Password) > MaxPasswordBytes {
		return SignedIn{}, failed()
	}
	ok, stale, err := s.hasher.verify(ctx, operator.PasswordHash, a.Password)
	switch {
	case err != nil:
		return SignedIn{}, err
	case !ok:
		return SignedIn{}, failed()
	case stale:
		operator = s.renew(ctx, operator, a.Password)
	}
	return s.begin(ctx, operator, a.Client, device)
}

// renew puts a hash of today's cost in place of an older one. That it failed
// is no reason to refuse a right password.
func (s *Service) renew(ctx context.Context, operator app.Operator, password string) app.Operator {
	hash, err := s.hasher.hash(ctx, password)
	if err == nil {
		err = s.o.Store.UpdateOperatorPassword(ctx, operator.ID, operator.PasswordHash, hash)
	}
	if err != nil {
		s.o.Log.Warn("cannot renew a password's hash", "operator", operator.ID, "err", err)
		return operator
	}
	operator.PasswordHash = hash
	return operator
}

// begin makes a session with a new id for an operator whose password was
// verified. When the password changed in that moment, the sign-in failed.
func (s *Service) begin(ctx context.Context, operator app.Operator, client Client, device string) (SignedIn, error) {
	out := s.fresh(operator, client)
	err := s.o.Store.InsertOperatorSession(ctx, out.Session, operator.PasswordHash)
	if app.IsKind(err, app.KindConflict) {
		return SignedIn{}, failed()
	}
	if err != nil {
		return SignedIn{}, err
	}
	out.Device = s.newDevice(operator.ID, device)
	return out, nil
}

// fresh is a session that is not stored yet.
func (s *Service) fresh(operator app.Operator, client Client) SignedIn {
	now, cookie := s.now(), newSecret(consolePrefix)
	hash, _ := parseSecret(consolePrefix, cookie)
	return SignedIn{Cookie: cookie, Operator: operator, Session: app.Session{Hash: hash, Kind: app.ActorOperator, ActorID: string(operator.ID),
		CreatedAt: now, LastSeenAt: now, ReauthedAt: now, ExpiresAt: now.Add(app.SessionLife),
		Address: addressText(client.Address), UserAgent: shortText(client.UserAgent)}}
}

func failed() error {
	return &app.Error{Kind: app.KindUnauthenticated, Code: "sign_in_failed", Message: "The e-mail address or the password is wrong.",
		Advice: "Try again; whoever has forgotten the password makes a one-time link on the machine: gatehouse operator link."}
}

func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Millisecond) }

// normalEmail is the form under which an address is stored and looked up.
func normalEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// checkEmail says what is wrong with an address that normalEmail answered.
func checkEmail(email string) *app.FieldError {
	local, domain, ok := strings.Cut(email, "@")
	bad := strings.ContainsFunc(email, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == utf8.RuneError || strings.ContainsRune(`<>(),;:"\[]`, r)
	})
	if !ok || local == "" || domain == "" || bad || strings.Contains(domain, "@") || len(email) > 254 {
		return &app.FieldError{Field: "email", Message: "must be an e-mail address, such as mara@example.com"}
	}
	return nil
}

// shortText makes what a browser says of itself fit to be stored and shown.
func shortText(text string) string {
	const most = 300 // bytes: real ones have at most 200
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

func addressText(address netip.Addr) string {
	if !address.IsValid() {
		return ""
	}
	return address.Unmap().String()
}
