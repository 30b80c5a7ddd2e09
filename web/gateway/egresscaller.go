package gateway

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"

	"gatehouse/app"
	"gatehouse/app/keys"
)

// ScopeEgress is what an operator's key needs to call paid APIs for
// organizations.
const ScopeEgress = "egress"

// onBehalf is the mode of a credential that is the operator's app, acting for
// an organization.
const onBehalf app.AuthMode = "on_behalf"

// Headers by which the app says, of a call on an egress route, whom it is for.
// HeaderOrg and HeaderKey name the organization and, if wanted, the key whose
// budget it draws on.
const (
	HeaderUser = "X-Gatehouse-User"
	HeaderTask = "X-Gatehouse-Task"
)

// egressCaller finds out who makes the call, and for which organization: the
// app with an operator's key, or an organization for itself. Nobody else names
// an organization, whatever headers it sends.
func (g *Gateway) egressCaller(x *exchange, got presented) (*credential, error) {
	ctx := x.r.Context()
	if hash, ok := keys.Parse(got.secret); ok && got.mode == app.AuthKey {
		key, operator, err := g.operatorKey(ctx, hash)
		if err != nil && !app.IsKind(err, app.KindUnauthenticated) {
			return nil, err
		}
		if operator {
			return g.appFor(x, &key)
		}
	}
	c, err := g.identify(ctx, got, x.from, x.route, x.start)
	if err == nil && c == nil {
		err = errNoCredential(x.route, got) // whatever costs, costs somebody
	}
	return c, err
}

// appFor is the app as it acts for the organization that its headers name.
func (g *Gateway) appFor(x *exchange, key *app.Key) (*credential, error) {
	if g.Addresses != nil && x.from.IsValid() {
		if until, blocked := g.Addresses.Blocked(x.start, x.from); blocked {
			return nil, g.Addresses.Problem(x.start, until)
		}
	}
	if refusal := keys.Refusal(key, x.from, x.start); refusal != nil {
		return nil, refusal
	}
	for _, scope := range append([]string{ScopeEgress}, x.route.Scopes...) {
		if !app.Grants(key.Scopes, scope) {
			return nil, errScopeMissing(scope)
		}
	}
	g.Touches.Record(key.ID, x.start)
	org, keyID := x.r.Header[HeaderOrg], x.r.Header[HeaderKey]
	if len(org) != 1 || org[0] == "" || len(keyID) > 1 {
		return nil, errEgressOrg()
	}
	c, err := g.onBehalfOf(x.r.Context(), key, org[0], strings.Join(keyID, ""))
	if err != nil {
		return nil, err
	}
	if c.key.ID != "" && c.key.State(x.start) != app.KeyStateActive && c.key.State(x.start) != app.KeyStateRotated {
		return nil, errEgressKeyEnded()
	}
	return c, nil
}

// onBehalfOf finds, or makes, the credential of the app that acts for the
// organization and its key.
func (g *Gateway) onBehalfOf(ctx context.Context, by *app.Key, name, keyID string) (*credential, error) {
	hash := sha256.Sum256([]byte(string(onBehalf) + "\x00" + string(by.ID) + "\x00" + name + "\x00" + keyID))
	if c := g.ring.get(&hash); c != nil && c.mode == onBehalf {
		return c, nil
	}
	epoch := g.ring.epoch.Load()
	org, err := g.orgNamed(ctx, name)
	if err != nil {
		return nil, err
	}
	c := &credential{mode: onBehalf, actor: by.Actor()}
	c.actor.OrgID, c.actorID = org.ID, c.actor.String()
	if keyID != "" {
		if c.key, err = g.Directory.Key(ctx, org.ID, app.KeyID(keyID)); err != nil {
			return nil, err
		}
	}
	if c.tenant, err = g.tenants.tenant(ctx, org.ID); err != nil {
		return nil, err
	}
	g.ring.put(&hash, c, epoch)
	return c, nil
}

// attributes are whom within the organization the app says that the call is
// for. An organization's own key says nothing of the kind: each value is a
// series of its own.
func attributes(h http.Header, c *credential) map[string]string {
	dims := map[string]string{}
	if c.mode != onBehalf {
		return dims
	}
	for dim, name := range map[string]string{"user": HeaderUser, "task": HeaderTask} {
		if values := h[name]; len(values) == 1 && values[0] != "" {
			dims[dim] = values[0]
		}
	}
	return dims
}
