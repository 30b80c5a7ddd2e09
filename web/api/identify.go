package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
)

// Keys finds the key that a secret's hash belongs to; keys.Service does.
type Keys interface {
	Lookup(ctx context.Context, hash [32]byte) (app.Key, error)
}

// Touches notes when a key was last used; keys.Touch does.
type Touches interface {
	Record(id app.KeyID, at time.Time)
}

// identify turns the request's bearer key into who it is.
func (x *API) identify(r *http.Request) (app.Actor, error) {
	secret, err := bearer(r.Header)
	if err != nil {
		return app.Actor{}, err
	}
	hash, wellFormed := keys.Parse(secret)
	if !wellFormed {
		return app.Actor{}, keys.ErrMalformed()
	}
	key, err := x.Keys.Lookup(r.Context(), hash)
	if err != nil {
		return app.Actor{}, err
	}
	now := x.Now()
	if refused := keys.Refusal(&key, x.Address(r), now); refused != nil {
		return app.Actor{}, refused
	}
	x.Touches.Record(key.ID, now)
	actor := app.Actor{Kind: app.ActorKey, ID: string(key.ID), OrgID: key.OrgID, KeyID: key.ID, Scopes: key.Scopes}
	if key.OrgID == "" {
		actor.Kind = app.ActorOperator
	}
	return actor, nil
}

// bearer reads the one credential that the API takes. A cookie is none: so no
// page elsewhere can make a browser call it.
func bearer(h http.Header) (string, error) {
	values := h["Authorization"]
	if len(values) == 1 {
		scheme, secret, _ := strings.Cut(values[0], " ")
		if secret = strings.TrimSpace(secret); strings.EqualFold(scheme, "bearer") && secret != "" {
			return secret, nil
		}
	}
	return "", &app.Error{Kind: app.KindUnauthenticated, Code: "credential_missing",
		Message: "This call wants an API key.", Advice: "Send `Authorization: Bearer KEY` with an operator's key (ga_live_…)."}
}

// who says who may make a call.
type who struct {
	scope string // of an operator's key
	own   bool   // an organization's key may too, for its own organization
}

func operator(scope string) who      { return who{scope: scope} }
func operatorOrOwn(scope string) who { return who{scope: scope, own: true} }

// check decides before the input is looked at, so that nobody learns from an
// error what exists.
func (m who) check(actor app.Actor) error {
	switch {
	case actor.MayManage(m.scope), m.own && actor.Kind == app.ActorKey:
		return nil
	case actor.Kind == app.ActorOperator:
		return &app.Error{Kind: app.KindForbidden, Code: "scope_missing", Message: "This key lacks the scope " + m.scope + ".",
			Advice: "Use an operator's key that has the scope " + m.scope + "."}
	}
	return &app.Error{Kind: app.KindForbidden, Code: "operator_key_needed", Message: "An organization's key cannot manage Gatehouse.",
		Advice: "Use an operator's key (ga_live_…) that has the scope " + m.scope + "."}
}
