package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"

	"gatehouse/app"
	"gatehouse/web/session"
	"gatehouse/web/ui"
)

// visit is one request of a person to a page.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	site    *site
	now     time.Time
	zone    *time.Location
	theme   string
	actor   app.Actor
	visitor session.Visitor // zero: nobody is signed in
	secret  bool            // the page holds a secret
}

func (s *site) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{w: w, r: r, site: s, now: s.Now(), zone: zoneOf(r), theme: themeOf(r), actor: app.Actor{Kind: app.ActorAnonymous}}
	if visitor, ok := session.From(r.Context()); ok {
		v.become(visitor)
	}
	return v
}

func (v *visit) ctx() context.Context { return v.r.Context() }

func (v *visit) signedIn() bool { return v.visitor.Operator.ID != "" }

// form returns a field of the form, without spaces around it.
func (v *visit) form(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }

// query returns a parameter of the address.
func (v *visit) query(name string) string { return v.r.URL.Query().Get(name) }

// render answers with the page. The header is sent when the page is whole, so
// a template that fails becomes an error page and not half a page.
func (v *visit) render(page templ.Component) error {
	return v.renderStatus(http.StatusOK, page)
}

func (v *visit) renderStatus(status int, page templ.Component) error {
	buffer := templ.GetBuffer()
	defer templ.ReleaseBuffer(buffer)
	if err := page.Render(v.ctx(), buffer); err != nil {
		return err
	}
	header := v.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	body := buffer.Bytes()
	if v.mayCompress(len(body)) {
		header.Set("Content-Encoding", "gzip")
		body = compressed(body)
	}
	header.Add("Vary", "Accept-Encoding")
	v.w.WriteHeader(status)
	v.w.Write(body) // an error means that the browser is gone
	return nil
}

// redirect sends the browser on with GET, as after every form.
func (v *visit) redirect(path string) error {
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// moment is a point in time as this visit shows it.
func (v *visit) moment(at time.Time) ui.Moment { return ui.Moment{At: at, Now: v.now, Zone: v.zone} }

// The cookies that hold no secret: what the browser's time zone is, and which
// theme was chosen.
const (
	cookieZone  = "gh_zone"
	cookieTheme = "gh_theme"
)

// zoneOf is the time zone that the page's script told of, or UTC.
func zoneOf(r *http.Request) *time.Location {
	cookie, err := r.Cookie(cookieZone)
	if err != nil {
		return time.UTC
	}
	name, err := url.QueryUnescape(cookie.Value)
	if err != nil {
		return time.UTC
	}
	if zone, ok := zoneNamed(name); ok {
		return zone
	}
	return time.UTC
}

// zoneNamed loads a zone of the IANA database. "Local" is the server's own and
// would not say which.
func zoneNamed(name string) (*time.Location, bool) {
	if name == "" || name == "Local" || len(name) > 64 {
		return nil, false
	}
	zone, err := time.LoadLocation(name)
	return zone, err == nil
}

func themeOf(r *http.Request) string {
	cookie, err := r.Cookie(cookieTheme)
	if err == nil && (cookie.Value == "light" || cookie.Value == "dark") {
		return cookie.Value
	}
	return ""
}

// preferences sets the theme.
func (s *site) preferences(v *visit) error {
	theme := v.form("theme")
	if theme != "light" && theme != "dark" {
		theme = ""
	}
	v.setCookie(cookieTheme, theme, "/", 365*24*time.Hour)
	return v.redirect(back(v.r, ui.PathOverview))
}

// back is the page that a form was sent from, if it is one of ours.
func back(r *http.Request, fallback string) string {
	from, err := url.Parse(r.Referer())
	if err != nil || from.Host != r.Host {
		return fallback
	}
	return session.Next(from.RequestURI(), fallback)
}

// setCookie sets a cookie that scripts cannot read; an empty value removes it.
func (v *visit) setCookie(name, value, path string, life time.Duration) {
	cookie := &http.Cookie{Name: name, Value: value, Path: path, HttpOnly: true, Secure: v.site.About.Secure, SameSite: http.SameSiteStrictMode, MaxAge: int(life.Seconds())}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(v.w, cookie)
}

// tell has the next page say what happened.
func (v *visit) tell(text string) {
	v.site.cookies.SetFlash(v.w, v.visitor, session.Flash{Tone: "ok", Text: text})
}

// told takes what the last page left to be said.
func (v *visit) told() *ui.Notice {
	flash, ok := v.site.cookies.TakeFlash(v.w, v.r, v.visitor)
	if !ok {
		return nil
	}
	return &ui.Notice{Tone: flash.Tone, Text: flash.Text}
}

// page is the frame of a signed-in page that follows the topics.
func (s *site) page(v *visit, title, nav string, topics ...string) ui.Page {
	return ui.Page{Title: title, Nav: nav, Live: topics, Assets: s.assets(), Theme: v.theme, Gate: s.gate(v.ctx()),
		Viewer: ui.Viewer{Name: v.visitor.Operator.Name, Email: v.visitor.Operator.Email}, Made: v.now.In(v.zone).Format("15:04:05 MST"), Notice: v.told()}
}

// door is the frame of a page outside the console.
func (s *site) door(v *visit, title string) ui.Door {
	return ui.Door{Title: title, Assets: s.assets(), Theme: v.theme}
}

// gate is what the foot of the navigation says.
func (s *site) gate(ctx context.Context) ui.Gate {
	g := ui.Gate{Healthy: true, Checks: "All checks pass"}
	for _, check := range s.Checks(ctx) {
		if check.Err != nil && g.Healthy {
			g.Healthy, g.Checks = false, "Not ready: "+strings.ToLower(checkWords(check.Name))
		}
	}
	g.About = fmt.Sprintf("%s · %s · up %s", s.About.Version, s.About.Engine, upFor(s.Now().Sub(s.About.Started)))
	return g
}

// upFor rounds an uptime so that the foot does not change each second.
func upFor(d time.Duration) string {
	if d < time.Minute {
		return "under 1\u00a0min"
	}
	return ui.Span(d.Truncate(time.Minute))
}
