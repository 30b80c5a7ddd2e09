package console_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/web/ui"
)

// shown returns the secret on the page that a form led to.
func shown(t *testing.T, body string) string {
	t.Helper()
	_, rest, ok := strings.Cut(body, "data-secret>")
	secret, _, _ := strings.Cut(rest, "<")
	if _, valid := keys.Parse(secret); !ok || !valid {
		t.Fatalf("the page shows no key: %s", body)
	}
	return secret
}

func TestAKeysSecretAppearsOnce(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	a := c.post(ui.Keys(org.Slug), "name", "ci", "env", "live", "scopes", "agents:run, files:*", "cidrs", "10.1.2.3", "expires", "30")
	if a.status != http.StatusSeeOther {
		t.Fatalf("the form answered %d: %s", a.status, a.body)
	}
	if strings.Contains(a.location()+a.body, "gk_live_") {
		t.Error("the redirect holds the secret")
	}
	page := c.get(a.location())
	secret := shown(t, page.body)
	if n := strings.Count(page.body, secret); n != 1 {
		t.Errorf("the secret stands %d times in the page", n)
	}
	if page.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", page.header.Get("Cache-Control"))
	}
	again := c.get(a.location())
	if again.status != 200 || strings.Contains(again.body, secret) || !strings.Contains(again.body, "shown already") {
		t.Error("a reload shows the secret again, or breaks")
	}
	for _, path := range []string{ui.Keys(org.Slug), ui.Org(org.Slug, ""), ui.PathOverview, ui.With(ui.PathSearch, "q", "ci")} {
		if strings.Contains(c.page(path), secret) {
			t.Errorf("%s shows the secret", path)
		}
	}
	if strings.Contains(s.log.text(), secret) {
		t.Error("the log holds the secret")
	}
	hash, _ := keys.Parse(secret)
	key, err := s.store.KeyByHash(context.Background(), hash)
	s.must(err)
	if key.Name != "ci" || len(key.Scopes) != 2 || key.CIDRs[0].String() != "10.1.2.3/32" || key.ExpiresAt.Sub(key.CreatedAt).Hours() < 719 {
		t.Errorf("made %+v", key)
	}
}

func TestANewKeyIsShownToNobodyElse(t *testing.T) {
	s := newStage(t)
	c, other := s.visitor(), s.visitor()
	org := c.newOrg("Acme", "pro")
	first := c.post(ui.Keys(org.Slug), "name", "one", "env", "live").location()
	second := c.post(ui.Keys(org.Slug), "name", "two", "env", "live").location()
	mine, others, secret := c.cookie(first, "gh_session"), other.cookie(first, "gh_session"), c.cookie(first, "gh_secret")
	for _, row := range []struct {
		what, path, cookies string
		shown               bool
	}{
		{"another session", first, others, false},
		{"another session with the cookie", first, others + "; " + secret, false},
		{"another key's page", second, mine + "; " + secret, false},
		{"a page without the cookie", first, mine, false},
		{"a cookie that was altered", first, mine + "; " + secret + "AA", false},
		{"the page that it is for", first, mine + "; " + secret, true},
	} {
		a := s.stranger().get(row.path, "Cookie", row.cookies)
		if shown := strings.Contains(a.body, "data-secret"); a.status != 200 || shown != row.shown {
			t.Errorf("%s answers %d and shows a key: %v", row.what, a.status, shown)
		}
	}
	s.shift.Store(int64(2 * time.Minute))
	if a := s.stranger().get(first, "Cookie", mine+"; "+secret); strings.Contains(a.body, "data-secret") {
		t.Error("the cookie opens after its minute")
	}
}

// cookie is the named cookie that the client would send to the path.
func (c *client) cookie(path, name string) string {
	c.s.t.Helper()
	request, err := http.NewRequest("GET", c.s.url+path, nil)
	c.s.must(err)
	for _, cookie := range c.jar.Cookies(request.URL) {
		if cookie.Name == name {
			return cookie.Name + "=" + cookie.Value
		}
	}
	c.s.t.Fatalf("there is no cookie %s for %s", name, path)
	return ""
}

func TestRotationShowsTheNewKeyAndKeepsTheOldForItsGrace(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	old := shown(t, c.get(c.post(ui.Keys(org.Slug), "name", "ci", "env", "live").location()).body)
	hash, _ := keys.Parse(old)
	before, err := s.store.KeyByHash(context.Background(), hash)
	s.must(err)
	a := c.post(ui.Key(org.Slug, before.ID, "rotate"), "grace", "24h")
	page := c.get(a.location()).body
	if fresh := shown(t, page); fresh == old || !strings.Contains(page, "goes on for") {
		t.Error("the page does not show the new key and say what becomes of the old")
	}
	after, err := s.store.KeyByHash(context.Background(), hash)
	s.must(err)
	if after.State(s.now()) != app.KeyStateRotated || after.ExpiresAt.Sub(s.now()).Hours() > 24 {
		t.Errorf("the old key is %s until %s", after.State(s.now()), after.ExpiresAt)
	}
	if a := c.post(ui.Key(org.Slug, before.ID, "rotate"), "grace", "721h"); a.status < 400 {
		t.Errorf("rotating with too long a grace answered %d", a.status)
	}
}

func TestRevokingAsksForTheName(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	minted, err := s.keys.Mint(context.Background(), system, keys.New{Org: org.ID, Name: "prod <1>"})
	s.must(err)
	for confirm, want := range map[string]int{"": 422, "prod": 422, "prod <1>": 303} {
		if a := c.post(ui.Key(org.Slug, minted.ID, "revoke"), "confirm", confirm); a.status != want {
			t.Errorf("confirmed with %q, answered %d", confirm, a.status)
		}
	}
}

func TestOperatorKeysNeedARecentPassword(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	s.shift.Store(int64(app.SessionReauth) + 1e9)
	a := c.get(ui.NewKey(""))
	if a.status != 303 || !strings.HasPrefix(a.location(), ui.PathConfirm) {
		t.Fatalf("answered %d to %s", a.status, a.location())
	}
	if a := c.post(ui.PathKeys, "name", "ci", "scopes", "*"); a.status != 303 || !strings.HasPrefix(a.location(), ui.PathConfirm) {
		t.Errorf("the form made a key: %d to %s", a.status, a.location())
	}
	if a := c.post(ui.PathConfirm, "current_password", "wrong", "next", ui.NewKey("")); a.status != 422 {
		t.Errorf("a wrong password answered %d", a.status)
	}
	if a := c.post(ui.PathConfirm, "current_password", ownerPassword, "next", ui.NewKey("")); a.status != 303 || a.location() != ui.NewKey("") {
		t.Errorf("the password answered %d to %s", a.status, a.location())
	}
	a = c.post(ui.PathKeys, "name", "ci", "scopes", "orgs:read")
	if secret := shown(t, c.get(a.location()).body); !strings.HasPrefix(secret, "ga_live_") {
		t.Errorf("made %s", secret[:8])
	}
}
