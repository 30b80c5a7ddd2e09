package gateway

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/app/token"
)

// SessionCookie is the cookie that holds a user's session at the gateway.
const SessionCookie = "gatehouse_session"

// KeyHeader may carry an API key beside Authorization.
const KeyHeader = "X-Api-Key"

// presented is the secret that a request carries, and how.
type presented struct {
	mode   app.AuthMode // empty: none
	secret string
	header string // the header that carried it, to be kept from the app; empty: a cookie
}

// twice is the mode of a request that carries a credential's header more than
// once: which of them counts would be a guess, and the app might guess another.
const twice app.AuthMode = "twice"

// find reads the request's credential: a Bearer key or JWT, X-API-Key, or the
// session cookie, in this order. What is no credential of the gate's is the
// app's own affair where the route wants no key.
func find(h http.Header, modes authModes) presented {
	if len(h["Authorization"]) > 1 || len(h[KeyHeader]) > 1 {
		return presented{mode: twice}
	}
	if secret, ok := bearer(h["Authorization"]); ok {
		if looksLikeJWT(secret) {
			return presented{app.AuthJWT, secret, "Authorization"}
		}
		if modes.key || looksLikeKey(secret) {
			return presented{app.AuthKey, secret, "Authorization"}
		}
	}
	if values := h[KeyHeader]; len(values) == 1 && (modes.key || looksLikeKey(values[0])) {
		return presented{app.AuthKey, values[0], KeyHeader}
	}
	if modes.session {
		if secret := cookieValue(h["Cookie"], SessionCookie); secret != "" {
			return presented{app.AuthSession, secret, ""}
		}
	}
	return presented{}
}

// bearer is the secret of an Authorization header of that scheme.
func bearer(values []string) (secret string, ok bool) {
	if len(values) == 0 {
		return "", false
	}
	scheme, secret, ok := strings.Cut(values[0], " ")
	return strings.TrimLeft(secret, " "), ok && strings.EqualFold(scheme, "bearer")
}

func looksLikeKey(secret string) bool {
	_, ok := keys.Parse(secret)
	return ok
}

func looksLikeJWT(secret string) bool {
	return strings.HasPrefix(secret, "eyJ") && strings.Count(secret, ".") == 2
}

// identify turns a credential into who it is. It returns nil and no error for
// an anonymous request on a route that lets it pass.
func (g *Gateway) identify(ctx context.Context, got presented, from netip.Addr, rt *route, now time.Time) (*credential, error) {
	if g.Addresses != nil && from.IsValid() {
		if until, blocked := g.Addresses.Blocked(now, from); blocked {
			return nil, g.Addresses.Problem(now, until)
		}
	}
	if rt.modes.none || got.mode == "" && rt.modes.optional {
		return nil, g.chargeAddress(from, now)
	}
	c, err := g.verify(ctx, got, from, rt, now)
	if app.IsKind(err, app.KindUnauthenticated) {
		if refused := g.chargeAddress(from, now); refused != nil {
			return nil, refused
		}
	}
	return c, err
}

// chargeAddress counts a request that nobody known stands behind.
func (g *Gateway) chargeAddress(from netip.Addr, now time.Time) error {
	if g.Addresses == nil || !from.IsValid() { // /v1/check may name no address
		return nil
	}
	if decision := g.Addresses.Charge(now, from, 1); !decision.OK {
		return decision.Problem(now)
	}
	return nil
}

// verify resolves the credential and holds it against the route's modes and
// scopes, its own life and addresses, and its organization's status.
func (g *Gateway) verify(ctx context.Context, got presented, from netip.Addr, rt *route, now time.Time) (*credential, error) {
	if got.mode == twice {
		return nil, errCredentialTwice()
	}
	if got.mode == "" || !rt.modes.allows(got.mode) {
		return nil, errNoCredential(rt, got)
	}
	c, err := g.resolve(ctx, got)
	if err != nil {
		return nil, err
	}
	if err := c.check(from, now); err != nil {
		return nil, err
	}
	for _, scope := range rt.Scopes {
		if !app.Grants(c.actor.Scopes, scope) {
			return nil, errScopeMissing(scope)
		}
	}
	return c, nil
}

// resolve finds the credential in the keyring, or reads it once.
func (g *Gateway) resolve(ctx context.Context, got presented) (*credential, error) {
	var outside token.Outside
	hash, err := secretHash(got)
	if err == nil && got.mode == app.AuthJWT {
		outside, err = g.Tokens.Verify(ctx, got.secret) // each time: the issuer may withdraw its keys
	}
	if err != nil {
		return nil, err
	}
	// A key in a session's cookie has the hash of the key: the mode must be that
	// of whoever was checked.
	if c := g.ring.get(&hash); c != nil && c.mode == got.mode && !c.stale(g.Now()) {
		if c.tenant == nil {
			return nil, errOperatorKey()
		}
		return c, nil
	}
	epoch := g.ring.epoch.Load()
	c, err := g.read(ctx, got, hash, outside)
	if err != nil {
		return nil, err
	}
	g.ring.put(&hash, c, epoch)
	return c, nil
}

// secretHash refuses a malformed key before any look-up.
func secretHash(got presented) ([32]byte, error) {
	if got.mode != app.AuthKey {
		return sha256.Sum256([]byte(got.secret)), nil
	}
	hash, ok := keys.Parse(got.secret)
	if !ok {
		return hash, keys.ErrMalformed()
	}
	return hash, nil
}

// read makes the record of a credential that is not in the keyring.
func (g *Gateway) read(ctx context.Context, got presented, hash [32]byte, outside token.Outside) (*credential, error) {
	c := &credential{mode: got.mode}
	var err error
	switch got.mode {
	case app.AuthKey:
		err = g.readKey(ctx, c, hash)
	case app.AuthJWT:
		err = g.readToken(ctx, c, outside)
	case app.AuthSession:
		err = g.readSession(ctx, c, got.secret)
	}
	if err != nil {
		return nil, err
	}
	c.actorID = c.actor.String()
	c.tenant, err = g.tenants.tenant(ctx, c.actor.OrgID)
	if app.IsKind(err, app.KindNotFound) {
		return nil, keys.ErrUnknown() // its organization was deleted
	}
	return c, err
}

func (g *Gateway) readToken(ctx context.Context, c *credential, outside token.Outside) error {
	org, err := g.orgNamed(ctx, outside.Org)
	if app.IsKind(err, app.KindNotFound) {
		return errTokenOrg()
	}
	c.actor = app.Actor{Kind: app.ActorUser, ID: outside.User, OrgID: org.ID, Scopes: outside.Scopes}
	c.expires = outside.ExpiresAt
	return err
}

// orgNamed finds an organization by its id or slug.
func (g *Gateway) orgNamed(ctx context.Context, name string) (app.Org, error) {
	org, err := g.Directory.Org(ctx, app.OrgID(name))
	if app.IsKind(err, app.KindNotFound) {
		return g.Directory.OrgBySlug(ctx, name)
	}
	return org, err
}

func (g *Gateway) readSession(ctx context.Context, c *credential, cookie string) error {
	session, err := g.Sessions.UserSession(ctx, cookie)
	if err != nil {
		return err
	}
	c.actor, c.expires = session.Actor(), session.EndsAt()
	if again := g.Now().Add(sessionFresh); again.Before(c.expires) {
		c.expires = again
	}
	return nil
}

// sessionFresh is how long a session is held before it is read again: reading
// it is what keeps it from ending idle. A revoked one is dropped at once.
const sessionFresh = time.Minute

// stale reports that a session must be read again.
func (c *credential) stale(now time.Time) bool {
	return c.mode == app.AuthSession && !now.Before(c.expires)
}

func (g *Gateway) readKey(ctx context.Context, c *credential, hash [32]byte) error {
	key, err := g.Directory.KeyByHash(ctx, hash)
	switch {
	case app.IsKind(err, app.KindNotFound):
		return keys.ErrUnknown()
	case err != nil:
		return err
	case key.OrgID == "":
		return errOperatorKey()
	}
	c.key = key
	c.actor = app.Actor{Kind: app.ActorKey, ID: string(key.ID), OrgID: key.OrgID, KeyID: key.ID, Scopes: key.Scopes}
	c.mark = g.Touches.Mark(key.ID)
	return nil
}

// check holds the credential against the clock and the caller's address.
func (c *credential) check(from netip.Addr, now time.Time) error {
	if c.mode == app.AuthKey {
		if refusal := keys.Refusal(&c.key, from, now); refusal != nil {
			return refusal
		}
		return nil
	}
	if !c.expires.IsZero() && !now.Before(c.expires) {
		return errExpired(c.mode)
	}
	return nil
}

// cookieValue finds one cookie without parsing the others.
func cookieValue(lines []string, name string) string {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			if key, value, ok := strings.Cut(strings.TrimSpace(part), "="); ok && key == name {
				return value
			}
		}
	}
	return ""
}

// hideCredentials keeps secrets from the app: the header of the key that was
// used, every other that holds a key by its form, and the session, also where
// the route did not ask for it. A JWT stays: it may be the app's own.
func hideCredentials(h http.Header, got presented) {
	if got.mode == app.AuthKey {
		delete(h, got.header)
	}
	for _, value := range h["Authorization"] {
		if secret, ok := bearer([]string{value}); ok && looksLikeKey(secret) {
			delete(h, "Authorization")
		}
	}
	for _, value := range h[KeyHeader] {
		if looksLikeKey(value) {
			delete(h, KeyHeader)
		}
	}
	for _, line := range h["Cookie"] {
		if strings.Contains(line, SessionCookie) {
			cutCookie(h, SessionCookie)
			return
		}
	}
}

func cutCookie(h http.Header, name string) {
	var kept []string
	for _, line := range h["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			if part = strings.TrimSpace(part); part != "" && !strings.HasPrefix(part, name+"=") {
				kept = append(kept, part)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = []string{strings.Join(kept, "; ")}
}
