package auth

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"gatehouse/app"
)

// Scopes that the operator's machine needs for users' sessions.
const (
	ScopeSessionsRead  = "sessions:read"
	ScopeSessionsWrite = "sessions:write"
)

// userTouchAfter is like touchAfter, for the many sessions of users; it is
// short beside app.SessionIdle.
const userTouchAfter = 10 * time.Minute

// minUserSession is the shortest life that makes sense to ask for.
const minUserSession = time.Minute

// userPattern is what a user's id may hold: it goes into headers and logs.
var userPattern = regexp.MustCompile(`^[!-~]{1,200}$`)

// NewUserSession is a session that the operator's app wants for a user whom it
// has signed in itself.
type NewUserSession struct {
	Org    app.OrgID
	User   string        // the user's id in the app: 1–200 visible ASCII characters
	TTL    time.Duration // at most app.SessionLife, which 0 means
	Scopes []string      // what routes with required scopes ask for; no wildcards
	Client Client        // the user's browser, for the list of devices; may be empty
}

// CreateUserSession makes a session of a user without scopes. cookie is its
// secret, for the only time.
func (s *Service) CreateUserSession(ctx context.Context, actor app.Actor, org app.OrgID, user string, ttl time.Duration) (cookie string, session app.Session, err error) {
	return s.MintUserSession(ctx, actor, NewUserSession{Org: org, User: user, TTL: ttl})
}

// MintUserSession makes a session of a user. cookie is its secret, for the
// only time.
func (s *Service) MintUserSession(ctx context.Context, actor app.Actor, in NewUserSession) (cookie string, session app.Session, err error) {
	if !actor.MayManage(ScopeSessionsWrite) {
		return "", app.Session{}, forbidden()
	}
	if wrong := in.check(); len(wrong) > 0 {
		return "", app.Session{}, app.InvalidFields(wrong)
	}
	life := in.TTL
	if life == 0 {
		life = app.SessionLife
	}
	now := s.now()
	cookie = newSecret(userPrefix)
	hash, _ := parseSecret(userPrefix, cookie)
	session = app.Session{Hash: hash, Kind: app.ActorUser, ActorID: in.User, OrgID: in.Org, Scopes: slices.Clone(in.Scopes),
		CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(life).Truncate(time.Millisecond),
		Address: addressText(in.Client.Address), UserAgent: shortText(in.Client.UserAgent)}
	if err := s.o.Store.InsertUserSession(ctx, in.Org, session); err != nil {
		return "", app.Session{}, err
	}
	return cookie, session, nil
}

func (n NewUserSession) check() (wrong []app.FieldError) {
	add := func(field, format string, args ...any) {
		wrong = append(wrong, app.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if !userPattern.MatchString(n.User) {
		add("user_id", "must be 1–200 visible ASCII characters")
	}
	if n.TTL != 0 && (n.TTL < minUserSession || n.TTL > app.SessionLife) {
		add("ttl", "must be between 1m and 7d")
	}
	if len(n.Scopes) > app.MaxScopes {
		add("scopes", "must hold at most %d scopes", app.MaxScopes)
	}
	for i, scope := range n.Scopes {
		if !app.ValidScope(scope) || strings.Contains(scope, "*") {
			add(fmt.Sprintf("scopes[%d]", i), "must look like files:read")
		}
	}
	return wrong
}

// UserSession answers whose session a value is. The gateway may hold the
// answer for a minute, until the store tells of a change (noun "session", with
// app.Session.ID): asking again is what keeps the session from ending idle.
func (s *Service) UserSession(ctx context.Context, cookie string) (app.Session, error) {
	hash, ok := parseSecret(userPrefix, cookie)
	if !ok {
		return app.Session{}, signedOut()
	}
	session, err := s.o.Store.UserSessionByHash(ctx, hash)
	if app.IsKind(err, app.KindNotFound) {
		return app.Session{}, signedOut()
	}
	if err != nil {
		return app.Session{}, err
	}
	now := s.now()
	if !session.Live(now) {
		return app.Session{}, signedOut()
	}
	if now.Sub(session.LastSeenAt) >= userTouchAfter {
		if err := s.o.Store.TouchUserSession(ctx, session.OrgID, hash, now); err != nil {
			s.o.Log.Warn("cannot note that a session was used", "err", err)
		} else {
			session.LastSeenAt = now
		}
	}
	return session, nil
}

// UserSessions lists a user's live sessions in the organization, newest first.
func (s *Service) UserSessions(ctx context.Context, actor app.Actor, org app.OrgID, user string) ([]app.Session, error) {
	if !actor.MayManage(ScopeSessionsRead) {
		return nil, forbidden()
	}
	all, err := s.o.Store.UserSessions(ctx, org, user)
	live, now := []app.Session{}, s.now()
	for _, session := range all {
		if session.Live(now) {
			live = append(live, session)
		}
	}
	return live, err
}

// RevokeUserSession ends one session of the organization, named by app.Session.ID.
func (s *Service) RevokeUserSession(ctx context.Context, actor app.Actor, org app.OrgID, id string) error {
	if !actor.MayManage(ScopeSessionsWrite) {
		return forbidden()
	}
	hash, err := sessionHash(id)
	if err != nil {
		return err
	}
	return s.o.Store.DeleteUserSession(ctx, org, hash)
}

// RevokeUserSessions ends all sessions of the user in the organization, at
// once, and answers how many there were.
func (s *Service) RevokeUserSessions(ctx context.Context, actor app.Actor, org app.OrgID, user string) (ended int, err error) {
	if !actor.MayManage(ScopeSessionsWrite) {
		return 0, forbidden()
	}
	return s.o.Store.DeleteUserSessions(ctx, org, user)
}
