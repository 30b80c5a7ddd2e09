package console_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// client speaks to the console as a browser without scripts does.
type client struct {
	s    *stage
	http *http.Client
	jar  *cookiejar.Jar
}

// stranger is a client that is not signed in.
func (s *stage) stranger() *client {
	jar, err := cookiejar.New(nil)
	s.must(err)
	return &client{s: s, jar: jar, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// visitor is a client that is signed in as the owner.
func (s *stage) visitor() *client {
	s.claim()
	c := s.stranger()
	a := c.post(ui.PathSignIn, "email", ownerEmail, "password", ownerPassword)
	if a.status != http.StatusSeeOther {
		s.t.Fatalf("sign-in answered %d: %s", a.status, a.body)
	}
	return c
}

// answer is what the console said.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) location() string { return a.header.Get("Location") }

func (c *client) do(method, path string, form url.Values, header ...string) answer {
	c.s.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequest(method, c.s.url+path, body)
	c.s.must(err)
	request.Header.Set("Accept", "text/html")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := c.http.Do(request)
	c.s.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	c.s.must(err)
	return answer{response.StatusCode, response.Header, string(text)}
}

func (c *client) get(path string, header ...string) answer {
	c.s.t.Helper()
	return c.do(http.MethodGet, path, nil, header...)
}

// post sends a form: names and values in turn.
func (c *client) post(path string, pairs ...string) answer {
	c.s.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return c.do(http.MethodPost, path, form)
}

// page gets a page that must be there.
func (c *client) page(path string) string {
	c.s.t.Helper()
	a := c.get(path)
	if a.status != http.StatusOK {
		c.s.t.Fatalf("%s answered %d: %s", path, a.status, a.body)
	}
	return a.body
}

// newOrg makes an organization through the form and returns it.
func (c *client) newOrg(name, plan string) app.Org {
	c.s.t.Helper()
	a := c.post(ui.PathOrgs, "name", name, "plan", plan)
	if a.status != http.StatusSeeOther {
		c.s.t.Fatalf("the form answered %d: %s", a.status, a.body)
	}
	org, err := c.s.store.OrgBySlug(context.Background(), strings.TrimPrefix(a.location(), ui.PathOrgs+"/"))
	c.s.must(err)
	return org
}

func TestAnOrganizationsLife(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	org := c.newOrg("Acme Robotics", "starter")
	if org.Slug != "acme-robotics" || org.Plan != "starter" {
		t.Fatalf("made %+v", org)
	}
	now := func() app.Org {
		org, err := s.store.Org(context.Background(), org.ID)
		s.must(err)
		return org
	}
	steps := []struct {
		act   string
		pairs []string
		want  int
		right func(app.Org) bool
	}{
		{"suspend", nil, 422, func(o app.Org) bool { return o.Status == app.OrgStatusActive }}, // a reason is needed
		{"suspend", []string{"reason", "unpaid"}, 303, func(o app.Org) bool { return o.Status == app.OrgStatusSuspended && o.Reason == "unpaid" }},
		{"resume", nil, 303, func(o app.Org) bool { return o.Status == app.OrgStatusActive && o.Reason == "" }},
		{"plan", []string{"plan", "pro"}, 303, func(o app.Org) bool { return o.Plan == "pro" }},
		{"plan", []string{"plan", "nothing"}, 400, func(o app.Org) bool { return o.Plan == "pro" }},
		{"settings", []string{"name", ""}, 422, func(o app.Org) bool { return o.Name == "Acme Robotics" }},
		{"settings", []string{"name", "Acme Inc"}, 303, func(o app.Org) bool { return o.Name == "Acme Inc" }},
		{"delete", []string{"confirm", "acme"}, 422, func(o app.Org) bool { return o.ID == org.ID }},
	}
	for _, step := range steps {
		a := c.post(ui.Org(org.Slug, step.act), step.pairs...)
		if a.status != step.want || !step.right(now()) {
			t.Errorf("%s %v answered %d, and the organization is %+v", step.act, step.pairs, a.status, now())
		}
	}
	if a := c.post(ui.Org(org.Slug, "delete"), "confirm", org.Slug); a.status != 303 {
		t.Errorf("delete answered %d", a.status)
	}
	if a := c.get(ui.Org(org.Slug, "")); a.status != http.StatusNotFound {
		t.Errorf("a deleted organization's page answers %d", a.status)
	}
}

func TestListsFilterAndPageInTheAddress(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	for range 60 {
		c.newOrg("Customer", "free")
	}
	last := c.newOrg("Zebra & Sons", "pro")
	c.post(ui.Org(last.Slug, "suspend"), "reason", "test")
	count := func(path string) int { return strings.Count(c.page(path), `<td class="title">`) }
	if n := count(ui.PathOrgs); n != 50 {
		t.Errorf("the first page holds %d rows", n)
	}
	next := between(t, c.page(ui.PathOrgs), `href="`, `" rel="next"`)
	if n := count(strings.ReplaceAll(next, "&amp;", "&")); n != 11 {
		t.Errorf("the second page holds %d rows", n)
	}
	for path, want := range map[string]int{"?q=zebra": 1, "?q=ZEBRA": 1, "?status=suspended": 1, "?plan=pro": 1, "?plan=free": 50, "?plan=pro&status=suspended": 1, "?plan=pro&status=active": 0, "?q=%25": 0} {
		if n := count(ui.PathOrgs + path); n != want {
			t.Errorf("%s shows %d rows, want %d", path, n, want)
		}
	}
	for _, path := range []string{"?after=nonsense", "?status=nonsense", "?plan=NO%20PLAN"} {
		if a := c.get(ui.PathOrgs + path); a.status != 422 && a.status != 400 {
			t.Errorf("%s answered %d", path, a.status)
		}
	}
}

// between returns what stands before the end mark, back to the begin mark.
func between(t *testing.T, text, begin, end string) string {
	t.Helper()
	before, _, ok := strings.Cut(text, end)
	if !ok {
		t.Fatalf("no %q in the page", end)
	}
	return before[strings.LastIndex(before, begin)+len(begin):]
}

func TestWrongFormsSayWhatIsWrongAndKeepWhatWasTyped(t *testing.T) {
	s := newStage(t)
	c := s.visitor()
	c.newOrg("Taken", "free")
	for _, row := range []struct{ path, name, value, wrong string }{
		{ui.PathOrgs, "name", "", "Must not be empty."},
		{ui.PathOrgs, "slug", "Not A Slug", "Must be 1–63"},
		{ui.Keys("taken"), "cidrs", "10.0.0.0/99", "is not an address"},
		{ui.Keys("taken"), "scopes", "NOT!", "cope"},
	} {
		pairs := []string{"plan", "free", row.name, row.value}
		if row.name != "name" {
			pairs = append(pairs, "name", "kept <b>")
		}
		a := c.post(row.path, pairs...)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, row.wrong) || !strings.Contains(a.body, `aria-invalid="true"`) {
			t.Errorf("%s=%q answered %d without %q", row.name, row.value, a.status, row.wrong)
		}
		if row.name != "name" && !strings.Contains(a.body, `value="kept &lt;b&gt;"`) {
			t.Errorf("%s: what was typed is gone", row.path)
		}
	}
	if a := c.post(ui.PathOrgs, "name", "x", "slug", "taken", "plan", "free"); a.status != 422 || !strings.Contains(a.body, "is taken") {
		t.Errorf("a taken slug answered %d", a.status)
	}
}

func TestSessionsCanBeEnded(t *testing.T) {
	s := newStage(t)
	here, there := s.visitor(), s.visitor()
	if a := there.get(ui.PathOverview); a.status != 200 {
		t.Fatalf("the other browser is answered %d", a.status)
	}
	if a := here.post(ui.PathSessions); a.status != 303 {
		t.Errorf("ending the others answered %d", a.status)
	}
	if a := there.get(ui.PathOverview); a.status != 303 {
		t.Errorf("an ended session is answered %d", a.status)
	}
	another := s.visitor()
	list, err := s.auth.Sessions(context.Background(), app.Actor{Kind: app.ActorOperator, ID: s.ownerID()})
	s.must(err)
	if a := here.post(ui.Session(list[0].ID())); a.status != 303 {
		t.Errorf("ending one answered %d", a.status)
	}
	if a := another.get(ui.PathOverview); a.status != 303 {
		t.Errorf("that session is answered %d", a.status)
	}
	if a := here.get(ui.PathSessions); a.status != 200 || !strings.Contains(a.body, "This browser") {
		t.Errorf("this session was ended too: %d", a.status)
	}
	here.post(ui.PathSignOut)
	if a := here.get(ui.PathSessions); a.status != 303 {
		t.Errorf("after signing out a page answers %d", a.status)
	}
}

func (s *stage) ownerID() string {
	operator, err := s.store.OperatorByEmail(context.Background(), ownerEmail)
	s.must(err)
	return string(operator.ID)
}

func TestThePasswordCanBeChanged(t *testing.T) {
	s := newStage(t)
	here, there := s.visitor(), s.visitor()
	const fresh = "marble lantern over river"
	for _, row := range []struct {
		old, password string
		want          int
	}{{"wrong", fresh, 422}, {ownerPassword, "short", 422}, {ownerPassword, fresh, 303}} {
		if a := here.post(ui.PathPassword, "current_password", row.old, "password", row.password); a.status != row.want {
			t.Errorf("%+v answered %d", row, a.status)
		}
	}
	if a := there.get(ui.PathOverview); a.status != 303 {
		t.Errorf("the other browser is still signed in: %d", a.status)
	}
	if a := here.get(ui.PathOverview); a.status != 200 {
		t.Errorf("this browser is signed out: %d", a.status)
	}
	for password, want := range map[string]int{ownerPassword: 401, fresh: 303} {
		if a := s.stranger().post(ui.PathSignIn, "email", ownerEmail, "password", password); a.status != want {
			t.Errorf("signing in with %q answered %d", password, a.status)
		}
	}
}

func TestOneOfManyClaimsAtOnceWins(t *testing.T) {
	s := newStage(t)
	token, _, err := s.auth.ClaimLink(context.Background())
	s.must(err)
	if a := s.stranger().get(ui.Claim(token)); a.status != 200 {
		t.Fatalf("the link answers %d", a.status)
	}
	answers := make(chan int)
	for range 6 {
		go func() {
			answers <- s.stranger().post(ui.PathClaim, "token", token, "name", "Mara", "email", ownerEmail, "password", ownerPassword).status
		}()
	}
	won := 0
	for range 6 {
		if <-answers == http.StatusSeeOther {
			won++
		}
	}
	operators, err := s.store.Operators(context.Background())
	s.must(err)
	if won != 1 || len(operators) != 1 {
		t.Errorf("%d won, and there are %d operators", won, len(operators))
	}
	if a := s.stranger().get(ui.Claim(token)); a.status != 401 || !strings.Contains(a.body, "claimed already") {
		t.Errorf("the used link answers %d", a.status)
	}
}

func TestALinkSignsInOnceAndIsNotUsedUpByLooking(t *testing.T) {
	s := newStage(t)
	s.claim()
	token, _, err := s.auth.SignInLink(context.Background(), system, "")
	s.must(err)
	c := s.stranger()
	for _, method := range []string{"HEAD", "GET", "GET"} {
		if a := c.do(method, ui.SignInLink(token), nil); a.status != 200 {
			t.Errorf("%s answers %d", method, a.status)
		}
	}
	if a := c.post(ui.PathSignInLink, "token", token); a.status != 303 || a.location() != ui.PathOverview {
		t.Fatalf("the form answers %d to %s: %s %s", a.status, a.location(), a.body, s.log.text())
	}
	if a := c.get(ui.PathOverview); a.status != 200 {
		t.Errorf("signed in, and the overview answers %d", a.status)
	}
	if a := s.stranger().post(ui.PathSignInLink, "token", token); a.status != 401 {
		t.Errorf("the second use answers %d", a.status)
	}
}
