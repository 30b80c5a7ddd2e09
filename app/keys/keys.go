package keys

import (
	"context"
	"time"

	"gatehouse/app"
)

// Scopes that an operator needs to manage keys. An organization's keys and the
// operator's own have different ones, so that a machine which hands out keys
// to customers cannot hand itself more rights.
const (
	ScopeRead          = "keys:read"
	ScopeWrite         = "keys:write"
	ScopeOperatorRead  = "operator_keys:read"
	ScopeOperatorWrite = "operator_keys:write"
)

// Store is what keys needs of the store. An empty OrgID means the operator's keys.
type Store interface {
	Org(ctx context.Context, id app.OrgID) (app.Org, error)
	InsertKey(ctx context.Context, org app.OrgID, k app.Key) error
	Key(ctx context.Context, org app.OrgID, id app.KeyID) (app.Key, error)
	Keys(ctx context.Context, org app.OrgID, page app.Page) (app.List[app.Key], error)
	KeyByHash(ctx context.Context, hash [32]byte) (app.Key, error)
	// RevokeKey ends the key at the time unless it is revoked already, and
	// answers it as it is then.
	RevokeKey(ctx context.Context, org app.OrgID, id app.KeyID, at time.Time) (app.Key, error)
	// RotateKey inserts fresh and ends the key id at endsAt, in one step, if
	// the key is neither revoked nor rotated at that moment; otherwise nothing
	// happens and the answer is a conflict "key_not_active".
	RotateKey(ctx context.Context, org app.OrgID, id app.KeyID, endsAt time.Time, fresh app.Key) error
	TouchKeys(ctx context.Context, used map[app.KeyID]time.Time) error
}

// Service is what people and the management API do with keys.
type Service struct {
	Store Store
	Now   func() time.Time
}

// Mint creates a key and answers it with its secret, for the only time.
// Errors: forbidden, an unknown organization, wrong fields.
func (s *Service) Mint(ctx context.Context, actor app.Actor, in New) (app.MintedKey, error) {
	if err := allow(actor, in.Org, ScopeWrite, ScopeOperatorWrite); err != nil {
		return app.MintedKey{}, err
	}
	now := s.now()
	fresh, prefix, wrong := in.key(now)
	if len(wrong) > 0 {
		return app.MintedKey{}, app.InvalidFields(wrong)
	}
	if err := covers(actor, fresh); err != nil {
		return app.MintedKey{}, err
	}
	if in.Org != "" {
		if _, err := s.Store.Org(ctx, in.Org); err != nil {
			return app.MintedKey{}, err
		}
	}
	minted := mint(fresh, prefix, actor, now)
	if err := s.Store.InsertKey(ctx, in.Org, minted.Key); err != nil {
		return app.MintedKey{}, err
	}
	return minted, nil
}

// mint gives the key its id, its author and its secret.
func mint(k app.Key, prefix string, actor app.Actor, now time.Time) app.MintedKey {
	secret := newSecret(prefix)
	k.ID = app.KeyID(app.NewID("key", now))
	k.Hint = hint(secret)
	k.Hash, _ = Parse(secret)
	k.CreatedAt, k.CreatedBy = now, actor.String()
	k.LastUsedAt, k.RevokedAt, k.RotatedTo = time.Time{}, time.Time{}, ""
	return app.MintedKey{Key: k, Secret: secret}
}

// List answers the keys of an organization, or the operator's when org is
// empty, newest first, whatever their state.
func (s *Service) List(ctx context.Context, actor app.Actor, org app.OrgID, page app.Page) (app.List[app.Key], error) {
	if err := allow(actor, org, ScopeRead, ScopeOperatorRead); err != nil {
		return app.List[app.Key]{}, err
	}
	return s.Store.Keys(ctx, org, page)
}

// Find answers one key of the organization, or of the operator when org is empty.
func (s *Service) Find(ctx context.Context, actor app.Actor, org app.OrgID, id app.KeyID) (app.Key, error) {
	if err := allow(actor, org, ScopeRead, ScopeOperatorRead); err != nil {
		return app.Key{}, err
	}
	return s.Store.Key(ctx, org, id)
}

// Revoke ends a key at once and for ever. Revoking it again changes nothing.
func (s *Service) Revoke(ctx context.Context, actor app.Actor, org app.OrgID, id app.KeyID) (app.Key, error) {
	if err := allow(actor, org, ScopeWrite, ScopeOperatorWrite); err != nil {
		return app.Key{}, err
	}
	return s.Store.RevokeKey(ctx, org, id, s.now())
}

// Lookup answers the key that Parse's hash belongs to, in whatever state; an
// unknown hash is the error that a caller with an invented key gets. The
// gateway keeps the answer and drops it when the store tells of a change.
func (s *Service) Lookup(ctx context.Context, hash [32]byte) (app.Key, error) {
	found, err := s.Store.KeyByHash(ctx, hash)
	if app.IsKind(err, app.KindNotFound) {
		return app.Key{}, ErrUnknown()
	}
	return found, err
}

// now is the clock in the store's precision, so that what Mint answers equals
// what Find answers later.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }

// allow decides whether the actor may manage the organization's keys, or the
// operator's own when org is empty.
func allow(actor app.Actor, org app.OrgID, scope, operatorScope string) error {
	if org == "" {
		scope = operatorScope
	}
	if actor.MayManage(scope) {
		return nil
	}
	return &app.Error{Kind: app.KindForbidden, Code: "forbidden", Message: "This credential may not manage these keys.",
		Advice: "Use a credential with the scope " + scope + "."}
}

// covers keeps an operator's key from minting, or taking over by rotation, one
// that may do more than itself.
func covers(actor app.Actor, wanted app.Key) error {
	if wanted.OrgID != "" || actor.Kind == app.ActorSystem {
		return nil
	}
	for _, scope := range wanted.Scopes {
		if !app.Grants(actor.Scopes, scope) {
			return &app.Error{Kind: app.KindForbidden, Code: "scope_not_held",
				Message: "This credential does not hold the scope " + scope + " and cannot give it on.",
				Advice:  "Leave the scope out, or use a credential that holds it."}
		}
	}
	return nil
}
