package api

import (
	"context"
	"net/netip"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
)

const (
	aboutSecret = "The secret stands in `key` of this answer and nowhere else: only its hash is kept."
	aboutRotate = "The new key inherits name, environment, scopes, addresses, limits and expiry. " +
		"The old one ends after `grace`, or at its own expiry if that comes first. " + aboutSecret
	aboutRevoke = "The key ends at once and for ever. Revoking it again changes nothing."
)

// Key is a key as the API shows it.
type Key struct {
	app.Key
	State app.KeyState `json:"state" doc:"active, rotated (replaced, in its grace), expired or revoked"`
}

// MintedKey is a key with its secret.
type MintedKey struct {
	Key
	Secret string `json:"key" doc:"The secret, for the only time"`
}

// view makes a key fit to show: its state, and lists instead of null.
func (x *API) view(k app.Key) Key {
	if k.Scopes == nil {
		k.Scopes = []string{}
	}
	if k.CIDRs == nil {
		k.CIDRs = []netip.Prefix{}
	}
	return Key{k, k.State(x.Now())}
}

func (x *API) minted(k app.MintedKey, err error) (*answerOf[MintedKey], error) {
	return answer(MintedKey{x.view(k.Key), k.Secret}, err)
}

func (x *API) viewed(k app.Key, err error) (*answerOf[Key], error) { return answer(x.view(k), err) }

func (x *API) viewedList(list app.List[app.Key], err error) (*answerOf[app.List[Key]], error) {
	out := app.List[Key]{Items: make([]Key, len(list.Items)), Next: list.Next}
	for i, k := range list.Items {
		out.Items[i] = x.view(k)
	}
	return answer(out, err)
}

// NewKey is the body of createKey.
type NewKey struct {
	Name       string          `json:"name" doc:"For people, 1–200 characters" example:"ci"`
	Env        string          `json:"env,omitempty" enum:"live,test" doc:"Stands in the secret's prefix; live by default"`
	Scopes     []string        `json:"scopes,omitempty" doc:"Such as files:read, files:* or *; none opens routes that ask for no scope"`
	CIDRs      []netip.Prefix  `json:"cidrs,omitempty" doc:"Addresses that it may be used from; none is any"`
	ExpiresAt  time.Time       `json:"expires_at,omitzero" doc:"When it ends; never by default"`
	RateLimits []app.RateLimit `json:"rate_limits,omitempty" doc:"Beside those of the plan and the route"`
}

func (k NewKey) of(org app.OrgID) keys.New {
	return keys.New{Org: org, Name: k.Name, Env: k.Env, Scopes: k.Scopes, CIDRs: k.CIDRs, ExpiresAt: k.ExpiresAt, RateLimits: k.RateLimits}
}

type createKeyInput struct {
	Creation
	OrgPath
	Body NewKey
}

func (x *API) createKey(ctx context.Context, actor app.Actor, in *createKeyInput) (*answerOf[MintedKey], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return x.minted(x.OrgKeys.Mint(ctx, actor, in.Body.of(org)))
}

type listKeysInput struct {
	OrgPath
	PageInput
}

func (x *API) listKeys(ctx context.Context, actor app.Actor, in *listKeysInput) (*answerOf[app.List[Key]], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return x.viewedList(x.OrgKeys.List(ctx, actor, org, in.page("")))
}

// KeyPath names a key in a path.
type KeyPath struct {
	Key app.KeyID `path:"key" doc:"The key's id" maxLength:"100" example:"key_01kavq5m3n8r2t4w6y9b1d3f5h"`
}

// OrgKeyPath names a key of an organization in a path.
type OrgKeyPath struct {
	OrgPath
	KeyPath
}

func (x *API) getKey(ctx context.Context, actor app.Actor, in *OrgKeyPath) (*answerOf[Key], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return x.viewed(x.OrgKeys.Find(ctx, actor, org, in.Key))
}

// Rotation is the body of rotateKey.
type Rotation struct {
	Grace app.Duration `json:"grace,omitempty" doc:"How long the old key goes on, 0–30d; by default it ends at once" example:"1d"`
}

func (r *Rotation) grace() time.Duration {
	if r == nil {
		return 0
	}
	return r.Grace.Std()
}

type rotateKeyInput struct {
	Creation
	OrgKeyPath
	Body *Rotation
}

func (x *API) rotateKey(ctx context.Context, actor app.Actor, in *rotateKeyInput) (*answerOf[MintedKey], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return x.minted(x.OrgKeys.Rotate(ctx, actor, org, in.Key, in.Body.grace()))
}

func (x *API) revokeKey(ctx context.Context, actor app.Actor, in *OrgKeyPath) (*answerOf[Key], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return x.viewed(x.OrgKeys.Revoke(ctx, actor, org, in.Key))
}
