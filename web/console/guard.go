package console

import (
	"net/http"

	"gatehouse/app"
	"gatehouse/web/respond"
	"gatehouse/web/session"
	"gatehouse/web/ui"
)

// guard lets a page be opened by whom its row says.
func (s *site) guard(p page) http.Handler {
	handler := s.responder.Handle(func(w http.ResponseWriter, r *http.Request) error { return p.do(s.visit(w, r)) })
	if p.who == forAnyone {
		return handler
	}
	return s.sendBack(s.cookies.Operator(handler))
}

// sendBack takes a form that came after its session had ended to the sign-in
// page, and from there to the page that it stood on.
func (s *site) sendBack(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && respond.WantsHTML(r) {
			if _, err := s.cookies.Visitor(r); app.IsKind(err, app.KindUnauthenticated) {
				http.Redirect(w, r, ui.With(ui.PathSignIn, "next", back(r, "")), http.StatusSeeOther)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// recognize tells who visits a page that anyone may open.
func (s *site) recognize(v *visit) error {
	visitor, err := s.cookies.Visitor(v.r)
	if app.IsKind(err, app.KindUnauthenticated) {
		return nil
	}
	if err == nil {
		v.become(visitor)
	}
	return err
}

// stillSignedIn asks again for the session of a page that stays open. While
// the store does not answer, it holds.
func (s *site) stillSignedIn(v *visit) bool {
	_, err := s.cookies.Visitor(v.r)
	return !app.IsKind(err, app.KindUnauthenticated)
}

func (v *visit) become(visitor session.Visitor) {
	v.visitor, v.actor = visitor, visitor.Actor()
}

// reauthed reports whether the password was given recently enough for a
// sensitive change. If not, it has answered with the page that asks for it.
func (s *site) reauthed(v *visit) (bool, error) {
	if v.visitor.Session.Reauthed(v.now) {
		return true, nil
	}
	next := v.r.URL.Path
	if v.r.Method != http.MethodGet {
		next = back(v.r, ui.PathSystem)
	}
	return false, v.redirect(ui.With(ui.PathConfirm, "next", next))
}
