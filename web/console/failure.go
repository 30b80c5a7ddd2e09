package console

import (
	"net/http"

	"github.com/a-h/templ"

	"gatehouse/app"
	"gatehouse/web/respond"
)

// fail answers a browser with an error as a page: what is wrong, and what to do.
func (s *site) fail(w http.ResponseWriter, r *http.Request, status int, e *app.Error) {
	v := s.visit(w, r)
	message := doorMessage{Door: s.door(v, failureTitle(e)), Title: failureTitle(e), Text: e.Message, Advice: e.Advice, Href: "/console", Link: "To the overview",
		Small: "Code " + e.Code + " · request " + respond.RequestID(w)}
	if err := v.renderStatus(status, doorMessagePage(message)); err != nil {
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
