// Package session keeps operators signed in to the console: the cookie and
// whose it is, protection against requests that other sites make a browser
// send, and messages from one page to the next.
//
// Against those requests (CSRF) stand three things. Cookies are SameSite=Lax.
// Requests that change something are held against Sec-Fetch-Site and Origin by
// net/http's CrossOriginProtection, which needs no token in forms; a request
// with neither header comes from no browser of the last years. And what is no
// navigation (a fragment, a stream, a picture) is refused to other sites also
// when it only reads.
package session

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/app"
)

// Auth is who knows sessions; auth.Service fills it.
type Auth interface {
	Session(ctx context.Context, cookie string) (app.Session, app.Operator, error)
	SignOut(ctx context.Context, session app.Session) error
}

// Manager ties requests to sessions. All fields are needed.
type Manager struct {
	Auth   Auth
	Sealer *app.Sealer // seals messages
	Secure bool        // the console is served over TLS
	SignIn string      // path of the sign-in page
	Now    func() time.Time
	// Fail answers a request with an error; respond's does.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
}

// Visitor is who is signed in.
type Visitor struct {
	Session  app.Session
	Operator app.Operator
}

// Actor is the visitor as services know it.
func (v Visitor) Actor() app.Actor { return v.Session.Actor() }

type visitorKey struct{}

// From answers who is signed in, behind Operator.
func From(ctx context.Context) (Visitor, bool) {
	v, ok := ctx.Value(visitorKey{}).(Visitor)
	return v, ok
}

// Visitor answers who the request's cookie belongs to. Without a live session
// the error is of KindUnauthenticated.
func (m *Manager) Visitor(r *http.Request) (Visitor, error) {
	session, operator, err := m.Auth.Session(r.Context(), m.read(r, sessionCookie))
	return Visitor{Session: session, Operator: operator}, err
}

// Operator lets only operators pass, and tells next who they are. A page sends
// others to the sign-in page and back; anything else is answered 401.
func (m *Manager) Operator(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visitor, err := m.Visitor(r)
		switch {
		case app.IsKind(err, app.KindUnauthenticated):
			m.turnAway(w, r, err)
		case err != nil:
			m.Fail(w, r, err)
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitorKey{}, visitor)))
		}
	})
}

// turnAway sends a navigation to the sign-in page. htmx follows a header,
// because it would put the sign-in page into a corner of the page otherwise.
func (m *Manager) turnAway(w http.ResponseWriter, r *http.Request, err error) {
	NoStore(w)
	switch {
	case r.Header.Get("HX-Request") != "":
		w.Header().Set("HX-Redirect", m.SignIn)
		m.Fail(w, r, err)
	case isPage(r):
		http.Redirect(w, r, m.SignIn+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	default:
		m.Fail(w, r, err)
	}
}

// isPage reports whether a browser opens the address as a page.
func isPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	mode := r.Header.Get("Sec-Fetch-Mode")
	return mode == "navigate" || mode == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// Enter keeps a fresh session in the browser. What session the browser had
// before ends: nobody else may go on with it.
func (m *Manager) Enter(w http.ResponseWriter, r *http.Request, cookie, device string, session app.Session) error {
	before, err := m.Visitor(r)
	if err == nil && before.Session.Hash != session.Hash {
		err = m.Auth.SignOut(r.Context(), before.Session)
	}
	if err != nil && !app.IsKind(err, app.KindUnauthenticated) {
		return err
	}
	NoStore(w)
	m.write(w, sessionCookie, cookie, session.ExpiresAt.Sub(m.Now()))
	if device != "" {
		m.write(w, deviceCookie, device, deviceLife)
	}
	return nil
}

// Leave ends the browser's session.
func (m *Manager) Leave(w http.ResponseWriter, r *http.Request) error {
	visitor, err := m.Visitor(r)
	if err == nil {
		err = m.Auth.SignOut(r.Context(), visitor.Session)
	}
	if err != nil && !app.IsKind(err, app.KindUnauthenticated) {
		return err
	}
	NoStore(w)
	m.write(w, sessionCookie, "", 0)
	return nil
}

// Device answers what an earlier sign-in left in the browser (auth.Client.Device).
func (m *Manager) Device(r *http.Request) string { return m.read(r, deviceCookie) }

// Next answers the path to go on to after signing in if it is one of this
// site's, and fallback otherwise.
func Next(path, fallback string) string {
	at, err := url.Parse(path)
	local := err == nil && at.Scheme == "" && at.Host == "" && at.User == nil && at.Opaque == "" && strings.HasPrefix(path, "/")
	// Browsers read // and /\ as the beginning of another host.
	if !local || len(path) > 1 && (path[1] == '/' || path[1] == '\\') || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == '\\' }) {
		return fallback
	}
	return at.RequestURI()
}

// NoStore keeps an answer that holds a secret, or depends on who is signed in,
// out of every cache, and its address out of what the next site hears.
func NoStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
}
