package console

import (
	"net/http"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/web/session"
	"gatehouse/web/ui"
)

// fromSignOut in the address of the sign-in page says that one has left.
const fromSignOut = "left"

// enter keeps the session in the browser and goes on.
func (s *site) enter(v *visit, in auth.SignedIn, next string) error {
	if err := s.cookies.Enter(v.w, v.r, in.Cookie, in.Device, in.Session); err != nil {
		return err
	}
	return v.redirect(session.Next(next, ui.PathOverview))
}

func (s *site) askSignIn(v *visit) error {
	if err := s.recognize(v); err != nil {
		return err
	}
	if v.signedIn() {
		return v.redirect(session.Next(v.query("next"), ui.PathOverview))
	}
	view, err := s.signInView(v, "", v.query("next"))
	if err != nil {
		return err
	}
	if v.query("from") == fromSignOut {
		view.Notice = &ui.Notice{Tone: "ok", Text: "You are signed out."}
	}
	return v.render(signInPage(view))
}

func (s *site) signInView(v *visit, email, next string) (signInView, error) {
	claimed, err := s.Accounts.Claimed(v.ctx())
	return signInView{Door: s.door(v, "Sign in"), Next: session.Next(next, ""), Unclaimed: !claimed,
		Email:    ui.Field{Name: "email", Label: "E-mail", Type: "email", Value: email, Autocomplete: "username", Focus: email == "", Max: 254},
		Password: ui.Field{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password", Focus: email != "", Max: auth.MaxPasswordBytes}}, err
}

func (s *site) signIn(v *visit) error {
	email, next := v.form("email"), v.form("next")
	in, err := s.Accounts.SignIn(v.ctx(), auth.Attempt{Email: email, Password: v.r.PostFormValue("password"), Client: v.client()})
	if shown := app.AsError(err); shown != nil && shown.Kind != app.KindInternal {
		view, again := s.signInView(v, email, next)
		if again != nil {
			return again
		}
		view.Notice = &ui.Notice{Tone: "bad", Text: joinSome(" ", shown.Message, shown.Advice)}
		return s.refuse(v, shown, signInPage(view))
	}
	if err != nil {
		return err
	}
	return s.enter(v, in, next)
}

// askLink shows what a one-time link does. Opening it does not use it up,
// because scanners and previews open links; the form on it does, which the
// page's script sends by itself.
func (s *site) askLink(v *visit) error {
	token := v.query("token")
	if err := s.Accounts.CheckLink(v.ctx(), token); err != nil {
		return s.linkRefused(v, err)
	}
	return v.render(linkPage(linkView{Door: s.door(v, "Sign in"), Token: token}))
}

func (s *site) signInByLink(v *visit) error {
	in, err := s.Accounts.SignInByLink(v.ctx(), v.form("token"), v.client())
	if err != nil {
		return s.linkRefused(v, err)
	}
	return s.enter(v, in, "")
}

// linkRefused says that the link does not hold. Who is signed in already, as
// after going back to it, goes on.
func (s *site) linkRefused(v *visit, err error) error {
	shown := app.AsError(err)
	if shown.Kind == app.KindInternal {
		return err
	}
	if err := s.recognize(v); err != nil {
		return err
	}
	if v.signedIn() {
		return v.redirect(ui.PathOverview)
	}
	return s.refuse(v, shown, doorMessagePage(doorMessage{Door: s.door(v, "Sign-in link"), Title: "This link does not hold", Text: shown.Message,
		Advice: "A sign-in link works once, and for ten minutes. On the machine, this prints another:", Command: "gatehouse operator link", Href: ui.PathSignIn, Link: "Sign in with a password"}))
}

func (s *site) signOut(v *visit) error {
	if err := s.cookies.Leave(v.w, v.r); err != nil {
		return err
	}
	return v.redirect(ui.With(ui.PathSignIn, "from", fromSignOut))
}

// askConfirm asks for the password once more, before a sensitive change.
func (s *site) askConfirm(v *visit) error {
	if v.visitor.Session.Reauthed(v.now) {
		return v.redirect(session.Next(v.query("next"), ui.PathSystem))
	}
	return v.render(reauthPage(s.reauthView(v, v.query("next"))))
}

func (s *site) reauthView(v *visit, next string) reauthView {
	return reauthView{Page: s.page(v, "Confirm", "system"), Email: v.visitor.Operator.Email, Next: session.Next(next, ui.PathSystem),
		Password: ui.Field{Name: "current_password", Label: "Password", Type: "password", Autocomplete: "current-password", Focus: true, Max: auth.MaxPasswordBytes}}
}

func (s *site) confirmPassword(v *visit) error {
	in, err := s.Accounts.Reauthenticate(v.ctx(), v.visitor.Session, v.r.PostFormValue("current_password"))
	if app.IsKind(err, app.KindInvalid) {
		view := s.reauthView(v, v.form("next"))
		placeErrors(app.AsError(err), &view.Password)
		return v.renderStatus(http.StatusUnprocessableEntity, reauthPage(view))
	}
	if err != nil {
		return err
	}
	return s.enter(v, in, session.Next(v.form("next"), ui.PathSystem))
}
