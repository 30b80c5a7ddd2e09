package api

import (
	"context"
	"net/netip"
	"time"

	"gatehouse/app"
)

// NewOperatorKey is the body of createOperatorKey.
type NewOperatorKey struct {
	Name      string         `json:"name" doc:"For people, 1–200 characters" example:"deploy"`
	Scopes    []string       `json:"scopes" doc:"At least one, such as orgs:read, keys:* or *"`
	CIDRs     []netip.Prefix `json:"cidrs,omitempty" doc:"Addresses that it may be used from; none is any"`
	ExpiresAt time.Time      `json:"expires_at,omitzero" doc:"When it ends; never by default"`
}

type createOperatorKeyInput struct {
	Creation
	Body NewOperatorKey
}

func (x *API) createOperatorKey(ctx context.Context, actor app.Actor, in *createOperatorKeyInput) (*answerOf[MintedKey], error) {
	wanted := NewKey{Name: in.Body.Name, Scopes: in.Body.Scopes, CIDRs: in.Body.CIDRs, ExpiresAt: in.Body.ExpiresAt}
	return x.minted(x.OrgKeys.Mint(ctx, actor, wanted.of("")))
}

func (x *API) listOperatorKeys(ctx context.Context, actor app.Actor, in *PageInput) (*answerOf[app.List[Key]], error) {
	return x.viewedList(x.OrgKeys.List(ctx, actor, "", in.page("")))
}

func (x *API) getOperatorKey(ctx context.Context, actor app.Actor, in *KeyPath) (*answerOf[Key], error) {
	return x.viewed(x.OrgKeys.Find(ctx, actor, "", in.Key))
}

type rotateOperatorKeyInput struct {
	Creation
	KeyPath
	Body *Rotation
}

func (x *API) rotateOperatorKey(ctx context.Context, actor app.Actor, in *rotateOperatorKeyInput) (*answerOf[MintedKey], error) {
	return x.minted(x.OrgKeys.Rotate(ctx, actor, "", in.Key, in.Body.grace()))
}

func (x *API) revokeOperatorKey(ctx context.Context, actor app.Actor, in *KeyPath) (*answerOf[Key], error) {
	return x.viewed(x.OrgKeys.Revoke(ctx, actor, "", in.Key))
}
