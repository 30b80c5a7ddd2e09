package keys

import (
	"context"
	"strings"
	"time"

	"gatehouse/app"
)

// MaxGrace bounds how long a rotated key may go on (identity: 0–30 days).
const MaxGrace = 30 * 24 * time.Hour

// Rotate replaces a key: the new one inherits everything (name, environment,
// scopes, ranges, limits, expiry), the old one ends after the grace, or at its
// own expiry if that comes first. A grace of 0 ends it at once.
// Only an active key can be rotated, and only once: conflict "key_not_active".
func (s *Service) Rotate(ctx context.Context, actor app.Actor, org app.OrgID, id app.KeyID, grace time.Duration) (app.MintedKey, error) {
	if err := allow(actor, org, ScopeWrite, ScopeOperatorWrite); err != nil {
		return app.MintedKey{}, err
	}
	if grace < 0 || grace > MaxGrace {
		return app.MintedKey{}, app.Invalid("grace", "must be between 0s and 30d")
	}
	old, err := s.Store.Key(ctx, org, id)
	if err != nil {
		return app.MintedKey{}, err
	}
	if err := covers(actor, old); err != nil {
		return app.MintedKey{}, err
	}
	now := s.now()
	if state := old.State(now); state != app.KeyStateActive {
		return app.MintedKey{}, notActive(state)
	}
	fresh := mint(old, prefixOf(old), actor, now)
	if err := s.Store.RotateKey(ctx, org, id, graceEnd(old, now.Add(grace)), fresh.Key); err != nil {
		return app.MintedKey{}, err
	}
	return fresh, nil
}

// graceEnd is when the old key ends.
func graceEnd(old app.Key, end time.Time) time.Time {
	end = end.Truncate(time.Millisecond)
	if !old.ExpiresAt.IsZero() && old.ExpiresAt.Before(end) {
		return old.ExpiresAt
	}
	return end
}

// prefixOf reads the environment from what is kept of the secret.
func prefixOf(k app.Key) string {
	switch {
	case k.OrgID == "":
		return prefixOperator
	case strings.HasPrefix(k.Hint, prefixTest):
		return prefixTest
	}
	return prefixLive
}

func notActive(state app.KeyState) error {
	conflict := app.Conflict("key_not_active", "The key is %s, so it cannot be rotated.", state)
	conflict.Advice = "Rotate the newest key of its line, or create a new one."
	return conflict
}
