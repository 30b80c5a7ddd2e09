package console

import (
	"net/http"

	"github.com/a-h/templ"

	"gatehouse/app"
	"gatehouse/web/respond"
	"gatehouse/web/ui"
)

// fail answers a browser with an error as a page: what is wrong, and what to
// do. Who is signed in keeps the navigation.
func (s *site) fail(w http.ResponseWriter, r *http.Request, status int, e *app.Error) {
	v := s.visit(w, r)
	title, small := failureTitle(e), "Code "+e.Code+" · request "+respond.RequestID(w)
	page := doorMessagePage(doorMessage{Door: s.door(v, title), Title: title, Text: e.Message, Advice: e.Advice, Href: ui.PathOverview, Link: "To the overview", Small: small})
	if err := s.recognize(v); err == nil && v.signedIn() {
		page = failurePage(failureView{Page: s.page(v, title, ""), Title: title, Text: e.Message, Advice: e.Advice, Small: small})
	}
	if err := v.renderStatus(status, page); err != nil {
		respond.Problem(w, r, e)
	}
}

func failureTitle(e *app.Error) string {
	switch e.Kind {
	case app.KindNotFound:
		return "Not found"
	case app.KindForbidden:
		return "Not allowed"
	case app.KindInvalid:
		return "That does not fit"
	case app.KindConflict:
		return "That clashes"
	case app.KindUnauthenticated:
		return "Sign in first"
	case app.KindRateLimited:
		return "Too many tries"
	case app.KindUnavailable, app.KindTimeout:
		return "Not ready just now"
	case app.KindMethod:
		return "Not this way"
	}
	return "Something went wrong"
}

// refuse answers with a form again, under the status that the error has.
func (s *site) refuse(v *visit, e *app.Error, page templ.Component) error {
	if e.RetryAfter > 0 {
		v.w.Header()["Retry-After"] = respond.RetryAfter(e.RetryAfter)
	}
	return v.renderStatus(respond.Status(e), page)
}
