package gateway_test

import (
	"hash/crc32"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/app/token"
)

// Each way of presenting a credential, and that the app does not get to see it.
func TestCredentialsArePresentedAndHidden(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all", Auth: []app.AuthMode{app.AuthKey, app.AuthJWT, app.AuthSession}},
		app.Route{Name: "open", PathPrefix: "/open", Auth: []app.AuthMode{app.AuthNone}})
	org := s.org("Acme")
	key, session, jwt := s.key(org.ID).Secret, s.session(org.ID), s.issuer.token(t, org.Slug, time.Hour, "")
	rows := []struct {
		name, path string
		headers    []string
		status     int
		code       string
		actor      string   // as the app sees it; user:lena, key:…
		app        []string // what of the headers reaches the app
	}{
		{"nothing", "/", nil, 401, "credential_missing", "", nil},
		{"a Bearer key", "/", []string{bearer(key)}, 200, "", "key:", nil},
		{"a bearer key in lower case, with spaces", "/", []string{"authorization: bearer   " + key}, 200, "", "key:", nil},
		{"X-API-Key", "/", []string{"X-API-Key: " + key}, 200, "", "key:", nil},
		{"x-api-key", "/", []string{"x-api-key: " + key}, 200, "", "key:", nil},
		{"a session among other cookies", "/", []string{"Cookie: a=1; gatehouse_session=" + session + "; b=gatehouse"}, 200, "", "user:lena", []string{"Cookie: a=1; b=gatehouse"}},
		{"a session alone", "/", []string{cookie(session)}, 200, "", "user:lena", nil},
		{"a JWT, which the app may want too", "/", []string{bearer(jwt)}, 200, "", "user:lena", []string{bearer(jwt)}},
		{"a key and a session: the key counts, both are hidden", "/", []string{bearer(key), cookie(session)}, 200, "", "key:", nil},
		{"a JWT and a key: the JWT counts, the key is hidden", "/", []string{bearer(jwt), "X-Api-Key: " + key}, 200, "", "user:lena", []string{bearer(jwt)}},
		{"Basic beside X-API-Key is the app's", "/", []string{"Authorization: Basic YTpi", "X-Api-Key: " + key}, 200, "", "key:", []string{"Authorization: Basic YTpi"}},
		{"two Authorization headers", "/", []string{bearer(key), bearer(key)}, 401, "credential_twice", "", nil},
		{"two Authorization headers and a good X-API-Key", "/", []string{bearer("x"), bearer("y"), "X-Api-Key: " + key}, 401, "credential_twice", "", nil},
		{"two X-API-Key", "/", []string{"X-Api-Key: " + key, "X-Api-Key: " + key}, 401, "credential_twice", "", nil},
		{"an empty Bearer", "/", []string{"Authorization: Bearer "}, 401, "", "", nil},
		{"a key in the query is none", "/?access_token=" + key + "&api_key=" + key, nil, 401, "credential_missing", "", nil},
		{"a key as a session's cookie", "/", []string{cookie(key)}, 401, "", "", nil},
		{"a JWT as a session's cookie", "/", []string{cookie(jwt)}, 401, "", "", nil},
		{"a session as a key", "/", []string{bearer(session)}, 401, "key_malformed", "", nil},
		{"open: nothing", "/open", nil, 200, "", "anonymous", nil},
		{"open: a Basic credential is the app's", "/open", []string{"Authorization: Basic YTpi"}, 200, "", "anonymous", []string{"Authorization: Basic YTpi"}},
		{"open: a foreign Bearer is the app's", "/open", []string{bearer("opaque")}, 200, "", "anonymous", []string{bearer("opaque")}},
		{"open: a foreign X-API-Key is the app's", "/open", []string{"X-Api-Key: opaque"}, 200, "", "anonymous", []string{"X-Api-Key: opaque"}},
		{"open: two Authorization headers are the app's", "/open", []string{bearer("x"), bearer("y")}, 200, "", "anonymous", []string{bearer("x"), bearer("y")}},
		{"open: a key of ours is hidden", "/open", []string{bearer(key)}, 200, "", "anonymous", nil},
		{"open: a key of ours in X-API-Key is hidden", "/open", []string{"X-Api-Key: " + key}, 200, "", "anonymous", nil},
		{"open: a session of ours is hidden", "/open", []string{cookie(session)}, 200, "", "anonymous", nil},
	}
	for _, row := range rows {
		got := s.get(row.path, row.headers...)
		if got.status != row.status || row.code != "" && got.code() != row.code {
			t.Errorf("%s: %d %s, want %d %s", row.name, got.status, got.body, row.status, row.code)
			continue
		}
		if got.status != 200 {
			continue
		}
		app := got.seen(t)
		if actor := app.Header.Get("X-Gatehouse-Actor"); !strings.HasPrefix(actor, row.actor) {
			t.Errorf("%s: actor %q, want %q", row.name, actor, row.actor)
		}
		var reached []string
		for _, name := range []string{"Authorization", "X-Api-Key", "Cookie"} {
			for _, value := range app.Header[name] {
				reached = append(reached, name+": "+value)
			}
		}
		if strings.Join(reached, "\n") != strings.Join(row.app, "\n") {
			t.Errorf("%s: the app sees %q, want %q", row.name, reached, row.app)
		}
	}
}

// Each mode of a route, with what is good, bad and missing.
func TestAuthModes(t *testing.T) {
	s := newStage(t)
	modes := map[string][]app.AuthMode{"key": {app.AuthKey}, "jwt": {app.AuthJWT}, "session": {app.AuthSession},
		"optional": {app.AuthKey, app.AuthOptional}, "none": {app.AuthNone}}
	var list []app.Route
	for name, mode := range modes {
		list = append(list, app.Route{Name: name, PathPrefix: "/" + name, Auth: mode})
	}
	s.routes(list...)
	org := s.org("Acme")
	key, session, token := s.key(org.ID).Secret, s.session(org.ID), s.issuer.token(t, string(org.ID), time.Hour, "")
	own, err := s.tokens.Mint(tokenSubject(org), s.clock.Now())
	s.apply(own, err)
	stranger := newIssuer(t, s.clock)
	presented := []struct {
		name, header string
		want         string // status by mode: key jwt session optional none
	}{
		{"nothing", "X-Nothing: 1", "401 401 401 200 200"},
		{"a key", bearer(key), "200 401 401 200 200"},
		{"a malformed key", bearer(key[:len(key)-1] + "x"), "401 401 401 401 200"},
		{"an unknown key", bearer(unknownKey(0)), "401 401 401 401 200"},
		{"a session", cookie(session), "401 401 200 200 200"},
		{"an unknown session", cookie("gs_" + session[3:len(session)-2] + "xx"), "401 401 401 200 200"},
		{"a JWT", bearer(token), "401 200 401 401 200"},
		{"our own assertion as a credential", bearer(own), "401 401 401 401 200"},
		{"a stranger's JWT", bearer(stranger.token(t, string(org.ID), time.Hour, "")), "401 401 401 401 200"},
		{"alg none", bearer(s.issuer.sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, string(org.ID), time.Hour, "")), "401 401 401 401 200"},
		{"HS256", bearer(s.issuer.sign(t, jwt.SigningMethodHS256, []byte("public"), string(org.ID), time.Hour, "")), "401 401 401 401 200"},
		{"an expired JWT", bearer(s.issuer.token(t, string(org.ID), -time.Minute, "")), "401 401 401 401 200"},
		{"a JWT of no organization here", bearer(s.issuer.token(t, "nowhere", time.Hour, "")), "401 403 401 401 200"},
	}
	for range 2 { // the second time from what is held
		for _, row := range presented {
			var got []string
			for _, mode := range []string{"key", "jwt", "session", "optional", "none"} {
				got = append(got, http.StatusText(s.get("/"+mode, row.header).status))
			}
			var want []string
			for _, status := range strings.Fields(row.want) {
				want = append(want, http.StatusText(map[string]int{"200": 200, "401": 401, "403": 403}[status]))
			}
			if strings.Join(got, ", ") != strings.Join(want, ", ") {
				t.Errorf("%s: %v, want %v", row.name, got, want)
			}
		}
	}
}

// A key presented as a session, and the other way round, must not be known
// again by its hash.
func TestACredentialHoldsOnlyAsWhatItWasChecked(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "keys", PathPrefix: "/keys"},
		app.Route{Name: "tokens", PathPrefix: "/tokens", Auth: []app.AuthMode{app.AuthJWT}},
		app.Route{Name: "people", PathPrefix: "/people", Auth: []app.AuthMode{app.AuthSession}})
	org := s.org("Acme")
	key, token := s.key(org.ID).Secret, s.issuer.token(t, org.Slug, time.Hour, "")
	if got := s.get("/keys", bearer(key)); got.status != 200 {
		t.Fatal(got)
	}
	if got := s.get("/tokens", bearer(token)); got.status != 200 {
		t.Fatal(got)
	}
	for _, secret := range []string{key, token} {
		if got := s.get("/people", cookie(secret)); got.status != 401 {
			t.Errorf("%.8s… passes as a session: %d", secret, got.status)
		}
	}
}

// What a key says of itself, at the gate.
func TestKeysAtTheGate(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all"}, app.Route{Name: "files", PathPrefix: "/files", Scopes: []string{"files:read", "files:list"}})
	org := s.org("Acme")
	with := func(change func(*keys.New)) string { return bearer(s.key(org.ID, change).Secret) }
	plain := bearer(s.key(org.ID).Secret)
	inside := with(func(k *keys.New) { k.CIDRs = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} })
	short := with(func(k *keys.New) { k.ExpiresAt = s.clock.Now().Add(time.Minute) })
	operator := bearer(s.key("").Secret)
	rows := []struct {
		name, path string
		headers    []string
		code       string
	}{
		{"no scope wanted", "/", []string{plain}, ""},
		{"a scope lacks", "/files", []string{plain}, "scope_missing"},
		{"one of two scopes", "/files", []string{with(func(k *keys.New) { k.Scopes = []string{"files:read"} })}, "scope_missing"},
		{"both", "/files", []string{with(func(k *keys.New) { k.Scopes = []string{"files:read", "files:list"} })}, ""},
		{"all below files", "/files", []string{with(func(k *keys.New) { k.Scopes = []string{"files:*"} })}, ""},
		{"from outside its addresses", "/", []string{inside}, "key_address"},
		{"from inside", "/", []string{inside, "X-Forwarded-For: 198.51.100.7"}, ""},
		{"from outside, claiming to be inside", "/", []string{inside, "X-Forwarded-For: 198.51.100.7, 203.0.113.9"}, "key_address"},
		{"before its end", "/", []string{short}, ""},
		{"an operator's key", "/", []string{operator}, "operator_key"},
		{"an operator's key, again", "/", []string{operator}, "operator_key"},
	}
	for _, row := range rows {
		if got := s.get(row.path, row.headers...); got.code() != row.code || got.status == 200 != (row.code == "") {
			t.Errorf("%s: %d %s, want %q", row.name, got.status, got.body, row.code)
		}
	}
	s.clock.Pass(time.Minute)
	if got := s.get("/", short); got.code() != "key_expired" {
		t.Errorf("after its end, from what is held: %d %s", got.status, got.body)
	}
}

func TestChangesHoldWhenTheCallThatMadeThemReturns(t *testing.T) {
	s := newStage(t)
	org := s.org("Acme")
	revoked, rotated, kept := s.key(org.ID), s.key(org.ID), s.key(org.ID)
	s.routes(app.Route{Name: "all", Auth: []app.AuthMode{app.AuthKey, app.AuthSession, app.AuthJWT}})
	session, token := s.session(org.ID), s.issuer.token(t, org.Slug, time.Hour, "")
	expect := func(when string, header string, code string) {
		t.Helper()
		if got := s.get("/", header); got.code() != code || got.status == 200 != (code == "") {
			t.Errorf("%s: %d %s, want %q", when, got.status, got.body, code)
		}
	}
	for _, header := range []string{bearer(revoked.Secret), bearer(rotated.Secret), bearer(kept.Secret), cookie(session), bearer(token)} {
		expect("at first", header, "")
	}
	s.apply(s.keys.Revoke(t.Context(), system, org.ID, revoked.ID))
	expect("revoked", bearer(revoked.Secret), "key_revoked")
	fresh, err := s.keys.Rotate(t.Context(), system, org.ID, rotated.ID, time.Hour)
	s.apply(fresh, err)
	expect("the new one", bearer(fresh.Secret), "")
	expect("the old one in its grace", bearer(rotated.Secret), "")
	s.clock.Pass(time.Hour)
	expect("the old one after it", bearer(rotated.Secret), "key_rotated")
	s.apply(s.orgs.Suspend(t.Context(), system, org.Slug, "unpaid"))
	expect("suspended", bearer(kept.Secret), "org_suspended")
	expect("suspended, by session", cookie(session), "org_suspended")
	s.apply(s.orgs.Resume(t.Context(), system, org.Slug))
	expect("resumed", bearer(kept.Secret), "")
	s.apply(s.auth.RevokeUserSessions(t.Context(), system, org.ID, "lena"))
	expect("signed out", cookie(session), "signed_out")
	s.apply(s.orgs.Cancel(t.Context(), system, org.Slug))
	expect("cancelled", bearer(kept.Secret), "org_cancelled")
	s.apply(nil, s.orgs.Delete(t.Context(), system, org.Slug))
	expect("deleted", bearer(kept.Secret), "key_unknown")
}

// Tokens name an organization by its slug, which may change hands.
func TestATokenFollowsItsSlug(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all", Auth: []app.AuthMode{app.AuthJWT}})
	first := s.org("Acme")
	token := bearer(s.issuer.token(t, "acme", time.Hour, ""))
	if got := s.get("/", token).seen(t).Header.Get("X-Gatehouse-Org"); got != string(first.ID) {
		t.Fatalf("organization %s", got)
	}
	s.apply(s.store.UpdateOrg(t.Context(), first.ID, func(o *app.Org) error { o.Slug = "former"; return nil }))
	if got := s.get("/", token); got.code() != "token_org_unknown" {
		t.Errorf("after the slug is gone: %d %s", got.status, got.body)
	}
	second := s.org("Acme")
	if got := s.get("/", token).seen(t).Header.Get("X-Gatehouse-Org"); got != string(second.ID) {
		t.Errorf("organization %s, want %s", got, second.ID)
	}
}

// unknownKey is a well-formed secret of no key.
func unknownKey(n int) string {
	const prefix = "gk_live_"
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	body := []byte(strings.Repeat("7", 30))
	for i := 29; n > 0; i, n = i-1, n/62 {
		body[i] = digits[n%62]
	}
	return withChecksum(prefix + string(body))
}

// withChecksum ends a secret as app/keys does.
func withChecksum(checked string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := crc32.ChecksumIEEE([]byte(checked))
	out := [6]byte{}
	for i := 5; i >= 0; i-- {
		out[i] = digits[sum%62]
		sum /= 62
	}
	return checked + string(out[:])
}

func tokenSubject(org app.Org) token.Subject {
	return token.Subject{Actor: app.Actor{Kind: app.ActorUser, ID: "lena", OrgID: org.ID}, Org: org}
}
