package token

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// Store is what token needs of the store.
type Store interface {
	SigningKeys(ctx context.Context) ([]app.SigningKey, error)
	// ChangeSigningKeys lets one caller at a time, over all replicas, replace
	// the keys by what change answers from them. Keys not answered are deleted.
	ChangeSigningKeys(ctx context.Context, change func([]app.SigningKey) []app.SigningKey) ([]app.SigningKey, error)
}

// Life of an assertion: the default, and the bounds of a configured one.
const (
	DefaultLife = time.Minute
	MinLife     = 10 * time.Second
	MaxLife     = time.Hour
)

// maintainEvery is how often Run looks whether a rotation is due, and at the
// latest how long a replica takes to hear of another's.
const maintainEvery = time.Minute

// Options of a Service. Store, Sealer, Issuer and Audience are required.
type Options struct {
	Store    Store
	Sealer   *app.Sealer // opens the private keys
	Now      func() time.Time
	Log      *slog.Logger
	Issuer   string // iss: the public address of this installation
	Audience string // aud: what the app expects

	Algorithm   string        // EdDSA (the default), ES256 or RS256
	Life        time.Duration // of an assertion, default DefaultLife
	RotateEvery time.Duration // default DefaultRotateEvery
	PublishFor  time.Duration // default DefaultPublishFor; must be shorter than RotateEvery
}

// Service mints Gatehouse's own tokens, verifies them, and rotates the keys
// that sign them.
type Service struct {
	o        Options
	rotation rotation
	ring     atomic.Pointer[ring]
}

// Open loads the signing keys, and makes them at the first start. It fails when
// the installation's encryption key does not open them.
func Open(ctx context.Context, o Options) (*Service, error) {
	if o.Algorithm == "" {
		o.Algorithm = EdDSA
	}
	o.Life = orDefault(o.Life, DefaultLife)
	o.RotateEvery = orDefault(o.RotateEvery, DefaultRotateEvery)
	o.PublishFor = orDefault(o.PublishFor, DefaultPublishFor)
	if wrong := o.check(); len(wrong) > 0 {
		return nil, app.InvalidFields(wrong)
	}
	s := &Service{o: o, rotation: rotation{algorithm: o.Algorithm, every: o.RotateEvery, publishFor: o.PublishFor, longest: MaxLife}}
	if err := s.Maintain(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}

func (o Options) check() (wrong []app.FieldError) {
	add := func(field, message string) { wrong = append(wrong, app.FieldError{Field: field, Message: message}) }
	if _, ok := signingMethod(o.Algorithm); !ok {
		add("tokens.algorithm", "must be EdDSA, ES256 or RS256")
	}
	if o.Life < MinLife || o.Life > MaxLife {
		add("tokens.life", "must be between 10s and 1h")
	}
	if o.PublishFor < 0 || o.RotateEvery <= o.PublishFor {
		add("tokens.rotate_every", "must be longer than tokens.publish_for")
	}
	if o.Issuer == "" || o.Audience == "" {
		add("tokens.issuer", "and tokens.audience must not be empty")
	}
	return wrong
}

// Maintain rotates what is due and loads the keys. Any number of replicas may
// call it at any time: the store lets one at a time decide, and the others find
// nothing left to do.
func (s *Service) Maintain(ctx context.Context) error {
	keys, err := s.o.Store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	for {
		now := s.now()
		planned, wanted := s.rotation.plan(keys, nil, now)
		if !wanted && sameStates(keys, planned) {
			return s.load(keys)
		}
		// The key is made before the store's lock is taken: RSA takes a while.
		var fresh *app.SigningKey
		if wanted {
			if fresh, err = s.newKey(); err != nil {
				return err
			}
		}
		keys, err = s.o.Store.ChangeSigningKeys(ctx, func(current []app.SigningKey) []app.SigningKey {
			changed, _ := s.rotation.plan(current, fresh, now)
			return changed
		})
		if err != nil {
			return fmt.Errorf("rotate the signing keys: %w", err)
		}
	}
}

// sameStates reports whether the plan leaves the keys as they are.
func sameStates(keys, planned []app.SigningKey) bool {
	if len(keys) != len(planned) {
		return false
	}
	for i := range keys {
		if keys[i].ID != planned[i].ID || keys[i].State != planned[i].State {
			return false
		}
	}
	return true
}

// Reload loads the keys again, after the store told that another replica
// changed them (noun "signing_key").
func (s *Service) Reload(ctx context.Context) error {
	keys, err := s.o.Store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	return s.load(keys)
}

// Run rotates when it is due until the context ends. A failure is logged and
// tried again a minute later; the keys at hand go on signing.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.Maintain(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.Error("cannot maintain the signing keys", "err", err)
			}
		}
	}
}

// newKey makes a key and seals its private half.
func (s *Service) newKey() (*app.SigningKey, error) {
	private, err := generate(s.o.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	published, err := newJWK(private.Public())
	if err != nil {
		return nil, err
	}
	id, err := published.thumbprint()
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("write a signing key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return nil, fmt.Errorf("write a signing key: %w", err)
	}
	return &app.SigningKey{ID: id, Algorithm: s.o.Algorithm, Public: public,
		Sealed: s.o.Sealer.Seal(sealPurpose(id), secret)}, nil
}

func sealPurpose(id string) string { return "signing_key:" + id }

// open unseals the private half of a key.
func (s *Service) open(k app.SigningKey) (crypto.Signer, error) {
	secret, err := s.o.Sealer.Open(sealPurpose(k.ID), k.Sealed)
	if err != nil {
		return nil, cannotUnseal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(secret)
	if err != nil {
		return nil, fmt.Errorf("read the signing key %s: %w", k.ID, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the signing key %s cannot sign", k.ID)
	}
	return private, nil
}

func cannotUnseal(err error) error {
	advice := "Restore the database from a backup."
	if errors.Is(err, app.ErrSealedOtherKey) {
		advice = "Start with the encryption key that this database was made with (encryption.key in its data directory, or the file you gave)."
	}
	return &app.Error{Kind: app.KindInternal, Code: "encryption_key_mismatch",
		Message: "The signing keys in the database cannot be opened.", Advice: advice, Err: err}
}

func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Millisecond) }
