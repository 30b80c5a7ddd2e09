package console_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/web/console"
	"gatehouse/web/ui"
)

// concrete fills the table's patterns with what exists on the stage.
func concrete(path, org string, key app.KeyID) string {
	return strings.NewReplacer("{$}", "", "{org}", org, "{key}", string(key), "{name}", "app", "{plan}", "pro", "{id}", strings.Repeat("0", 64)).Replace(path)
}

func TestEveryPageTurnsStrangersAway(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	minted, err := s.keys.Mint(context.Background(), system, keys.New{Org: org.ID, Name: "ci"})
	s.must(err)
	open := map[string]bool{ui.PathSignIn: true, ui.PathSignInLink: true, ui.PathSignOut: true, ui.PathClaim: true, ui.PathEvents: true}
	for _, row := range console.Rows() {
		if row.Open != open[row.Path] {
			t.Errorf("%s %s is open: %v", row.Method, row.Path, row.Open)
		}
		if row.Open {
			continue
		}
		path := concrete(row.Path, org.Slug, minted.ID)
		a := s.stranger().do(row.Method, path, formFor(row.Method), "Sec-Fetch-Mode", "navigate")
		if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location(), ui.PathSignIn) {
			t.Errorf("%s %s answered a stranger with %d to %q", row.Method, path, a.status, a.location())
		}
		if a := s.stranger().do(row.Method, path, formFor(row.Method), "Accept", "application/json"); a.status != http.StatusUnauthorized {
			t.Errorf("%s %s answered a strange machine with %d", row.Method, path, a.status)
		}
	}
	if key, err := s.store.Key(context.Background(), org.ID, minted.ID); err != nil || !key.RevokedAt.IsZero() {
		t.Error("a stranger changed something")
	}
}

func formFor(method string) url.Values {
	if method == http.MethodPost {
		return url.Values{"confirm": {"ci"}, "reason": {"x"}}
	}
	return nil
}

func TestEveryFormRefusesOtherSites(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	for _, row := range console.Rows() {
		path := concrete(row.Path, org.Slug, "key_x")
		if row.Method == http.MethodPost {
			for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}} {
				if a := c.do(row.Method, path, url.Values{}, header...); a.status != http.StatusForbidden {
					t.Errorf("POST %s with %v answered %d", path, header, a.status)
				}
			}
			continue
		}
		if a := c.get(path, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"); a.status != http.StatusForbidden {
			t.Errorf("embedded by another site, %s answered %d", path, a.status)
		}
	}
	if after, err := s.store.Org(context.Background(), org.ID); err != nil || after.Status != app.OrgStatusActive {
		t.Error("another site changed something")
	}
}

func TestEveryAnswerCarriesTheHeaders(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	c.newOrg("Acme", "pro")
	for _, path := range []string{ui.PathSignIn, ui.PathOverview, ui.PathOrgs, ui.Org("acme", ""), ui.PathUsageCSV, "/nothing", ui.Org("nobody", ""), ui.Claim("x")} {
		header := c.get(path).header
		if got := header.Get("Content-Security-Policy"); got != console.Policy {
			t.Errorf("%s: policy %q", path, got)
		}
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	want := "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	if console.Policy != want {
		t.Errorf("the policy is %q", console.Policy)
	}
}

func TestNoPageHoldsInlineStyleOrScript(t *testing.T) {
	s := newStage(t)
	s.populate(awkward...)
	c := s.visitor()
	org, err := s.store.Orgs(context.Background(), app.Page{})
	s.must(err)
	for _, page := range everyPage(org.Items[0].Slug, s.anyKey(org.Items[0].Slug).ID) {
		body := c.get(page.path).body
		for _, bad := range []string{" style=", " onclick=", " onload=", "javascript:", "<script>", "<style"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %q", page.path, bad)
			}
		}
	}
}

func TestAnotherOrganizationsKeyAnswersLikeAnUnknownOne(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	mine, other := c.newOrg("Mine", "pro"), c.newOrg("Other", "pro")
	minted, err := s.keys.Mint(context.Background(), system, keys.New{Org: other.ID, Name: "ci"})
	s.must(err)
	operators, err := s.keys.Mint(context.Background(), system, keys.New{Name: "machine", Scopes: []string{"*"}})
	s.must(err)
	id := func(body string) string { return body[:strings.Index(body, "request req_")] }
	for _, act := range []string{"rotate", "revoke", "secret"} {
		unknown := c.get(ui.Key(mine.Slug, "key_unknown", act))
		for _, foreign := range []string{ui.Key(mine.Slug, minted.ID, act), ui.Key(mine.Slug, operators.ID, act), ui.Key("", minted.ID, act)} {
			a := c.get(foreign)
			if a.status != http.StatusNotFound || unknown.status != http.StatusNotFound || !strings.Contains(id(a.body), "There is no such key.") {
				t.Errorf("%s answered %d, an unknown key %d", foreign, a.status, unknown.status)
			}
		}
	}
	c.post(ui.Key(mine.Slug, minted.ID, "revoke"), "confirm", "ci")
	if key, err := s.store.Key(context.Background(), other.ID, minted.ID); err != nil || !key.RevokedAt.IsZero() {
		t.Error("a key was revoked through another organization")
	}
}

func TestSigningInLeadsNowhereElse(t *testing.T) {
	s := newStage(t)
	s.claim()
	for next, want := range map[string]string{
		ui.PathOrgs: ui.PathOrgs, ui.PathUsage + "?period=7d": ui.PathUsage + "?period=7d", "": ui.PathOverview,
		"https://evil.example/": ui.PathOverview, "//evil.example": ui.PathOverview, `/\evil.example`: ui.PathOverview, "/\t/evil.example": ui.PathOverview,
		"javascript:alert(1)": ui.PathOverview, "evil.example": ui.PathOverview,
	} {
		a := s.stranger().post(ui.PathSignIn, "email", ownerEmail, "password", ownerPassword, "next", next)
		if a.location() != want {
			t.Errorf("next=%q leads to %q, want %q", next, a.location(), want)
		}
	}
}

func TestTheSessionsCookieIsOutOfReach(t *testing.T) {
	s := newStage(t)
	s.claim()
	a := s.stranger().post(ui.PathSignIn, "email", ownerEmail, "password", ownerPassword)
	var found bool
	for _, line := range a.header.Values("Set-Cookie") {
		if strings.HasPrefix(line, "gh_session=") {
			found = true
			if !strings.Contains(line, "HttpOnly") || !strings.Contains(line, "SameSite=Lax") {
				t.Errorf("the cookie is %q", line)
			}
		}
	}
	if !found {
		t.Error("no session cookie")
	}
}

func TestSearchDoesNotTakeSecrets(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme", "pro")
	minted, err := s.keys.Mint(context.Background(), system, keys.New{Org: org.ID, Name: "ci"})
	s.must(err)
	for _, part := range []string{"", "1"} {
		body := c.page(ui.With(ui.PathSearch, "q", minted.Secret, "part", part))
		if strings.Contains(body, minted.Secret) || !strings.Contains(body, "looks like a secret") {
			t.Error("the search repeats a secret")
		}
	}
}

func TestLargeAndOddRequestsAreRefused(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	for path, want := range map[string]int{"/console/nothing": 404, "/console/orgs/../../etc/passwd": 404, "/console/orgs/%2e%2e": 404, "/console/plans/none": 404,
		"/console/traffic/routes/none": 404, "/console/traffic/upstreams/none": 404, ui.With(ui.PathUsage, "tz", "../../etc/passwd"): 200, ui.With(ui.PathUsage, "tz", "Local"): 200,
		ui.With(ui.PathUsage, "period", "x", "group", "x", "sort", "x", "show", "x"): 200, ui.With(ui.PathSearch, "q", strings.Repeat("x", 5000)): 200} {
		if a := c.get(path); a.status != want && (a.status != 301 && a.status != 307 || want != 404) {
			t.Errorf("%s answered %d, want %d", path, a.status, want)
		}
	}
	if a := c.post(ui.PathOrgs, "name", strings.Repeat("x", 200_000)); a.status < 400 {
		t.Errorf("a huge form answered %d", a.status)
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		if a := c.do(method, ui.PathOrgs, url.Values{}); a.status != 404 && a.status != 405 {
			t.Errorf("%s answered %d", method, a.status)
		}
	}
}
