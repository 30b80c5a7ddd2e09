package console

import (
	"net/http"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/web/session"
	"gatehouse/web/ui"
)

func (s *site) askClaim(v *visit) error {
	token := v.query("token")
	if err := s.Accounts.CheckClaim(v.ctx(), token); err != nil {
		return s.claimRefused(v, err)
	}
	view := s.claimView(v, token)
	view.Name.Focus = true
	return v.render(claimPage(view))
}

func (s *site) claimView(v *visit, token string) claimView {
	return claimView{Door: s.door(v, "Claim"), Token: token,
		Name:     ui.Field{Name: "name", Label: "Your name", Value: v.r.PostFormValue("name"), Autocomplete: "name"},
		Email:    ui.Field{Name: "email", Label: "E-mail", Type: "email", Value: v.r.PostFormValue("email"), Autocomplete: "username", Max: 254, Hint: "What you sign in with. Nothing is sent to it."},
		Password: newPasswordField("Password")}
}

func newPasswordField(label string) ui.Field {
	return ui.Field{Name: "password", Label: label, Type: "password", Autocomplete: "new-password", Max: auth.MaxPasswordBytes, Min: auth.MinPasswordLength,
		Hint: "At least 10 characters. A few words that nobody else would put together do well."}
}

func (s *site) claim(v *visit) error {
	token := v.form("token")
	in := auth.NewOperator{Name: v.form("name"), Email: v.form("email"), Password: v.r.PostFormValue("password")}
	signedIn, err := s.Accounts.Claim(v.ctx(), token, in, v.client())
	if app.IsKind(err, app.KindInvalid) {
		view := s.claimView(v, token)
		if rest := placeErrors(app.AsError(err), &view.Name, &view.Email, &view.Password); rest != "" {
			view.Notice = &ui.Notice{Tone: "bad", Text: rest}
		}
		return v.renderStatus(http.StatusUnprocessableEntity, claimPage(view))
	}
	if err != nil {
		return s.claimRefused(v, err)
	}
	v.become(session.Visitor{Session: signedIn.Session, Operator: signedIn.Operator})
	v.tell("You are the operator of this installation.")
	return s.enter(v, signedIn, "")
}

// claimRefused says why a claim link does not hold. To whom it matters most,
// the rightful operator who comes second, it says what that can mean.
func (s *site) claimRefused(v *visit, err error) error {
	shown := app.AsError(err)
	if shown.Kind == app.KindInternal {
		return err
	}
	claimed, err := s.Accounts.Claimed(v.ctx())
	if err != nil {
		return err
	}
	message := doorMessage{Door: s.door(v, "Claim"), Title: "This link does not hold", Text: shown.Message, Advice: shown.Advice}
	if claimed {
		message.Title, message.Text = "This installation is claimed already", "The link worked once, for whoever was first."
		message.Advice = "If that was neither you nor a colleague, stop the gate, and look who can read its log and its data directory."
		message.Href, message.Link = ui.PathSignIn, "Sign in"
	}
	return s.refuse(v, shown, doorMessagePage(message))
}
