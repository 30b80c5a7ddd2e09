package session

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
)

var now = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// door knows the sessions "one" and "two" of Mara until they are signed out.
// The store behind the real one has its own tests in app/auth.
type door struct {
	live map[string]app.Session
	err  error
}

func newDoor() *door {
	session := func(id byte) app.Session {
		return app.Session{Hash: [32]byte{id}, Kind: app.ActorOperator, ActorID: "opr_1", CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(time.Hour)}
	}
	return &door{live: map[string]app.Session{"one": session(1), "two": session(2)}}
}

func (d *door) Session(_ context.Context, cookie string) (app.Session, app.Operator, error) {
	session, ok := d.live[cookie]
	if d.err != nil {
		return app.Session{}, app.Operator{}, d.err
	}
	if !ok {
		return app.Session{}, app.Operator{}, &app.Error{Kind: app.KindUnauthenticated, Code: "signed_out"}
	}
	return session, app.Operator{ID: "opr_1", Name: "Mara"}, nil
}

func (d *door) SignOut(_ context.Context, session app.Session) error {
	for cookie, known := range d.live {
		if known.Hash == session.Hash {
			delete(d.live, cookie)
		}
	}
	return nil
}

func manager(t testing.TB, secure bool) (*Manager, *door) {
	t.Helper()
	sealer, err := app.NewSealer(bytes.Repeat([]byte{5}, app.SealKeySize))
	if err != nil {
		t.Fatal(err)
	}
	d := newDoor()
	return &Manager{Auth: d, Sealer: sealer, Secure: secure, SignIn: "/sign-in", Now: func() time.Time { return now },
		Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
			status := map[app.Kind]int{app.KindUnauthenticated: 401, app.KindForbidden: 403}[app.AsError(err).Kind]
			http.Error(w, app.AsError(err).Code, max(status, 400))
		}}, d
}

// ask sends a request with headers written as "Name: value".
func ask(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestOperatorLetsOnlyOperatorsPass(t *testing.T) {
	const page = "Accept: text/html,application/xhtml+xml"
	rows := []struct {
		name           string
		secure         bool
		method, target string
		headers        []string
		status         int
		location, htmx string
	}{
		{"anonymous opens a page", false, "GET", "/console/orgs?q=a b&x=//evil", []string{page}, 303, "/sign-in?next=%2Fconsole%2Forgs%3Fq%3Da%2Bb%26x%3D%2F%2Fevil", ""},
		{"anonymous navigates", false, "GET", "/console", []string{"Sec-Fetch-Mode: navigate"}, 303, "/sign-in?next=%2Fconsole", ""},
		{"anonymous fetches a page", false, "GET", "/console", []string{page, "Sec-Fetch-Mode: cors"}, 401, "", ""},
		{"anonymous opens a stream", false, "GET", "/console/events", []string{"Accept: text/event-stream"}, 401, "", ""},
		{"anonymous sends a form", false, "POST", "/console/orgs", []string{page}, 401, "", ""},
		{"anonymous by htmx", false, "GET", "/console", []string{page, "HX-Request: true"}, 401, "", "/sign-in"},
		{"an ended session", false, "GET", "/console", []string{page, "Cookie: gh_session=three"}, 303, "/sign-in?next=%2Fconsole", ""},
		{"signed in", false, "GET", "/console", []string{page, "Cookie: a=b; gh_session=one"}, 200, "", ""},
		{"signed in over TLS", true, "GET", "/console", []string{page, "Cookie: __Host-gh_session=one"}, 200, "", ""},
		{"over TLS a cookie without the prefix", true, "GET", "/console", []string{"Cookie: gh_session=one"}, 401, "", ""},
		{"a cookie that shadows ours", false, "GET", "/console", []string{"Cookie: gh_session=two; gh_session=one"}, 401, "", ""},
		{"in two headers", false, "GET", "/console", []string{"Cookie: gh_session=two", "Cookie: gh_session=one"}, 401, "", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			m, _ := manager(t, row.secure)
			w := ask(m.Operator(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				visitor, ok := From(r.Context())
				if !ok || visitor.Operator.Name != "Mara" || visitor.Actor().String() != "operator:opr_1" {
					t.Errorf("visitor %+v", visitor)
				}
			})), row.method, strings.ReplaceAll(row.target, " ", "+"), row.headers...)
			if w.Code != row.status || w.Header().Get("Location") != row.location || w.Header().Get("HX-Redirect") != row.htmx {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			if w.Code != 200 && w.Header().Get("Cache-Control") != "no-store" {
				t.Error("being turned away may be cached")
			}
		})
	}
	if _, ok := From(t.Context()); ok {
		t.Error("somebody is signed in outside")
	}
	m, d := manager(t, false)
	d.err = errors.New("the database is away")
	if w := ask(m.Operator(http.NotFoundHandler()), "GET", "/console", page); w.Code != 400 {
		t.Errorf("without the database: %d", w.Code)
	}
}

func TestCookiesAreGuarded(t *testing.T) {
	for secure, want := range map[bool]string{
		false: "gh_session=one; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax",
		true:  "__Host-gh_session=one; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
	} {
		m, d := manager(t, secure)
		w := httptest.NewRecorder()
		if err := m.Enter(w, httptest.NewRequest("POST", "/sign-in", nil), "one", "mark", d.live["one"]); err != nil {
			t.Fatal(err)
		}
		got := w.Result().Header["Set-Cookie"]
		if len(got) != 2 || got[0] != want || !strings.Contains(got[1], "gh_device=mark; Path=/; Max-Age=15552000; HttpOnly") {
			t.Errorf("cookies %q", got)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Error("the answer may be cached")
		}
	}
}

// Whoever put a session into the browser before, or had got hold of it, does
// not go on with it after the sign-in.
func TestSigningInEndsTheFormerSession(t *testing.T) {
	m, d := manager(t, false)
	r := httptest.NewRequest("POST", "/sign-in", nil)
	r.Header.Set("Cookie", "gh_session=one; gh_device=mark")
	if got := m.Device(r); got != "mark" {
		t.Errorf("device %q", got)
	}
	if err := m.Enter(httptest.NewRecorder(), r, "two", "", d.live["two"]); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.live["one"]; ok {
		t.Error("the former session lives")
	}
	if _, ok := d.live["two"]; !ok {
		t.Error("the new session ended")
	}
	r.Header.Set("Cookie", "gh_session=two")
	if err := m.Enter(httptest.NewRecorder(), r, "two", "", d.live["two"]); err != nil || len(d.live) != 1 {
		t.Errorf("entered again: %v, %d sessions", err, len(d.live))
	}
}

func TestLeaving(t *testing.T) {
	m, d := manager(t, true)
	r := httptest.NewRequest("POST", "/sign-out", nil)
	r.Header.Set("Cookie", "__Host-gh_session=one")
	for range 2 {
		w := httptest.NewRecorder()
		if err := m.Leave(w, r); err != nil {
			t.Fatal(err)
		}
		if got := w.Header().Get("Set-Cookie"); got != "__Host-gh_session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax" {
			t.Errorf("cookie %q", got)
		}
	}
	if len(d.live) != 1 {
		t.Errorf("%d sessions live", len(d.live))
	}
	d.err = errors.New("away")
	if err := m.Leave(httptest.NewRecorder(), r); err == nil {
		t.Error("a sign-out that failed seems done")
	}
}

func TestProtectRefusesOtherSites(t *testing.T) {
	rows := []struct {
		name, method string
		headers      []string
		pass         bool
	}{
		{"our form", "POST", []string{"Sec-Fetch-Site: same-origin", "Origin: http://example.com"}, true},
		{"typed into the address bar", "POST", []string{"Sec-Fetch-Site: none"}, true},
		{"no browser", "POST", nil, true},
		{"an old browser of ours", "POST", []string{"Origin: http://example.com"}, true},
		{"another site's form", "POST", []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, false},
		{"another port of the same host", "POST", []string{"Sec-Fetch-Site: same-site", "Origin: http://example.com:8080"}, false},
		{"another port, old browser", "POST", []string{"Origin: http://example.com:8080"}, false},
		{"a sandboxed frame", "POST", []string{"Origin: null"}, false},
		{"a pretended header does not help", "DELETE", []string{"Sec-Fetch-Site: cross-site", "X-Requested-With: XMLHttpRequest"}, false},
		{"an unknown word", "PUT", []string{"Sec-Fetch-Site: friendly"}, false},
		{"a link from another site", "GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, true},
		{"a frame in another site", "GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, false},
		{"a picture in another site", "GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, false},
		{"a stream from another port", "GET", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"}, false},
		{"our stream", "GET", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"}, true},
		{"curl", "GET", nil, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			m, _ := manager(t, false)
			passed := false
			w := ask(m.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })), row.method, "http://example.com/console", row.headers...)
			if passed != row.pass || (w.Code == 403) == row.pass {
				t.Errorf("passed %v, status %d", passed, w.Code)
			}
		})
	}
}

func TestNextStaysHere(t *testing.T) {
	here := []string{"/", "/console", "/console/orgs?q=a&x=//y", "/console#top", "/a//b", "/sign-in?next=%2F%2Fevil"}
	for _, path := range here {
		if got := Next(path, "/f"); got == "/f" || !strings.HasPrefix(got, "/") {
			t.Errorf("%q became %q", path, got)
		}
	}
	away := []string{"", "console", "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "https:evil", "javascript:alert(1)", "/console\r\nSet-Cookie: a=b",
		"/\t/evil.example", "\t//evil.example", " //evil.example", "///evil.example", "/a\\b", "//user@evil", "%2f%2fevil.example", "http:///x", "/\x00"}
	for _, path := range away {
		if got := Next(path, "/f"); got != "/f" {
			t.Errorf("%q became %q", path, got)
		}
	}
}

func TestFlashIsShownOnceToItsVisitor(t *testing.T) {
	m, d := manager(t, false)
	one, two := Visitor{Session: d.live["one"]}, Visitor{Session: d.live["two"]}
	leave := func(v Visitor, text string) string {
		w := httptest.NewRecorder()
		m.SetFlash(w, v, Flash{"ok", text})
		header := w.Header().Get("Set-Cookie")
		if strings.Contains(header, "Acme") || !strings.Contains(header, "; HttpOnly") || len(header) > 4000 {
			t.Errorf("cookie %q", header)
		}
		return strings.Split(header, ";")[0]
	}
	take := func(v Visitor, cookie string) (string, bool) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		message, ok := m.TakeFlash(w, r, v)
		if cookie != "" && !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
			t.Error("the message stays in the browser")
		}
		return message.Text, ok
	}
	const text = `Acme <script>alert("1")</script> is created`
	cookie := leave(one, text)
	if got, ok := take(one, cookie); !ok || got != text {
		t.Errorf("taken %q", got)
	}
	if got, ok := take(two, cookie); ok {
		t.Errorf("another visitor sees %q", got)
	}
	for name, bad := range map[string]string{"invented": "gh_flash=SGVsbG8", "plain": "gh_flash=Send us your key", "altered": cookie[:len(cookie)-2] + "AA", "another use": "gh_flash=" + "e30", "twice": cookie + "; " + cookie} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", bad)
		if got, ok := m.TakeFlash(httptest.NewRecorder(), r, one); ok {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, ok := take(one, ""); ok {
		t.Error("a message from nowhere")
	}
	leave(one, strings.Repeat("ü", 5000))
	m.Now = func() time.Time { return now.Add(time.Minute + time.Millisecond) }
	if _, ok := take(one, cookie); ok {
		t.Error("an old message is shown")
	}
}

func TestStripKeepsTheConsoleFromTheApp(t *testing.T) {
	rows := []struct{ in, out []string }{
		{nil, nil},
		{[]string{"a=b; c=d"}, []string{"a=b; c=d"}},
		{[]string{"gh_session=secret"}, nil},
		{[]string{"__Host-gh_session=secret; gatehouse_session=gs_x"}, []string{"gatehouse_session=gs_x"}},
		{[]string{"a=b; gh_session=secret; c=d"}, []string{"a=b; c=d"}},
		{[]string{"a=b;gh_session=secret", "__Host-gh_device=x;c=d"}, []string{"a=b; c=d"}},
		{[]string{"a=gh_session"}, []string{"a=gh_session"}},
		{[]string{"xgh_session=1; __Host-a=2"}, []string{"xgh_session=1; __Host-a=2"}},
		{[]string{";; gh_flash= ;gh_secret=x"}, nil},
		{[]string{"gh_oauth=the app's own; gh_session_x=1"}, []string{"gh_oauth=the app's own; gh_session_x=1"}},
		{[]string{"a=b; gh_session =secret"}, []string{"a=b"}},
		{[]string{"  gh_session=secret  ; a=\"gh_session=x\""}, []string{"a=\"gh_session=x\""}},
	}
	for _, row := range rows {
		h := http.Header{}
		if row.in != nil {
			h["Cookie"] = row.in
		}
		Strip(h)
		if got := strings.Join(h["Cookie"], " | "); got != strings.Join(row.out, " | ") || (row.out == nil) != (h["Cookie"] == nil) {
			t.Errorf("%q became %q", row.in, h["Cookie"])
		}
	}
	h := http.Header{"Cookie": {"session=abc; theme=dark"}}
	if n := testing.AllocsPerRun(100, func() { Strip(h) }); n != 0 {
		t.Errorf("%v allocations without a cookie of ours", n)
	}
}
