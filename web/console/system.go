package console

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/a-h/templ"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/web/ui"
)

func (s *site) system(v *visit) error {
	return v.render(systemPage(systemView{Page: s.page(v, "System", "system", "system"), Checks: s.checkRows(v.ctx()), Facts: s.aboutFacts(v), Ledger: s.Proofs != nil}))
}

func (s *site) systemParts(ctx context.Context, v *visit) map[string]templ.Component {
	return map[string]templ.Component{"checks": checkTable(s.checkRows(ctx)), "facts": facts(s.aboutFacts(v))}
}

func (s *site) checkRows(ctx context.Context) []checkRow {
	var rows []checkRow
	for _, c := range s.Checks(ctx) {
		row := checkRow{Name: checkWords(c.Name), Detail: c.Detail, State: ui.State{Text: "Ready"}}
		if c.Err != nil {
			row.State = ui.State{Text: "Not ready", Tone: "bad"}
			row.Detail = checkText(c.Err)
		}
		rows = append(rows, row)
	}
	return rows
}

// checkWords says a check's name as people do.
func checkWords(name string) string {
	if name == "store" {
		return "Database"
	}
	return sentenceCase(strings.ReplaceAll(name, "_", " "))
}

// checkText is why a check fails: its message for people, or what it says.
func checkText(err error) string {
	var known *app.Error
	if errors.As(err, &known) {
		return joinSome(" ", known.Message, known.Advice)
	}
	return err.Error()
}

func sentenceCase(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func (s *site) aboutFacts(v *visit) []capRow {
	a := s.About
	return []capRow{{What: "Version", Value: a.Version}, {What: "Database", Value: a.Engine}, {What: "Limits", Value: "Counted " + orText(a.Counter, "in process")},
		{What: "Data", Value: orText(a.DataDir, ui.Dash)}, {What: "Gateway", Value: a.Gateway}, {What: "Running", Value: upFor(s.Now().Sub(a.Started)), Note: "since " + ui.DateTime(a.Started, v.zone) + " " + a.Started.In(v.zone).Format("MST")},
		{What: "Built with", Value: runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH}}
}

func (s *site) sessions(v *visit) error {
	list, err := s.Accounts.Sessions(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := sessionsView{Page: s.page(v, "Sessions", "system")}
	for _, x := range list {
		this := x.Hash == v.visitor.Session.Hash
		view.More = view.More || !this
		view.Rows = append(view.Rows, sessionRow{Device: deviceOf(x.UserAgent), Agent: x.UserAgent, Address: x.Address, Begun: v.moment(x.CreatedAt), Seen: v.moment(x.LastSeenAt),
			Ends: "In " + ui.Span(max(x.EndsAt().Sub(v.now), time.Minute).Truncate(time.Minute)), This: this, Revoke: ui.Session(x.ID())})
	}
	return v.render(sessionsPage(view))
}

// deviceOf makes "Firefox on Linux" of a user agent. It is for recognition
// only; what is not known is said so.
func deviceOf(agent string) string {
	pick := func(names ...[2]string) string {
		for _, name := range names {
			if strings.Contains(agent, name[0]) {
				return name[1]
			}
		}
		return ""
	}
	browser := pick([2]string{"Edg/", "Edge"}, [2]string{"OPR/", "Opera"}, [2]string{"Firefox/", "Firefox"}, [2]string{"HeadlessChrome/", "Chrome"}, [2]string{"Chrome/", "Chrome"},
		[2]string{"Safari/", "Safari"}, [2]string{"curl/", "curl"})
	system := pick([2]string{"Android", "Android"}, [2]string{"iPhone", "iPhone"}, [2]string{"iPad", "iPad"}, [2]string{"Windows", "Windows"}, [2]string{"Mac OS", "macOS"}, [2]string{"Linux", "Linux"})
	return orText(joinSome(" on ", browser, system), "Unknown browser")
}

func (s *site) revokeSession(v *visit) error {
	if err := s.Accounts.Revoke(v.ctx(), v.actor, v.r.PathValue("id")); err != nil {
		return err
	}
	v.tell("That browser is signed out.")
	return v.redirect(ui.PathSessions)
}

func (s *site) revokeOthers(v *visit) error {
	if _, err := s.Accounts.RevokeOthers(v.ctx(), v.visitor.Session); err != nil {
		return err
	}
	v.tell("All other browsers are signed out.")
	return v.redirect(ui.PathSessions)
}

func (s *site) passwordView(v *visit) passwordView {
	return passwordView{Page: s.page(v, "Password", "system"), Email: v.visitor.Operator.Email,
		Old: ui.Field{Name: "current_password", Label: "Present password", Type: "password", Autocomplete: "current-password", Max: auth.MaxPasswordBytes},
		New: newPasswordField("New password")}
}

func (s *site) askPassword(v *visit) error {
	view := s.passwordView(v)
	view.Old.Focus = true
	return v.render(passwordPage(view))
}

func (s *site) changePassword(v *visit) error {
	err := s.Accounts.ChangePassword(v.ctx(), v.visitor.Session, v.r.PostFormValue("current_password"), v.r.PostFormValue("password"))
	if shown := app.AsError(err); shown != nil && shown.Kind == app.KindInvalid {
		view := s.passwordView(v)
		if rest := placeErrors(shown, &view.Old, &view.New); rest != "" {
			view.Notice = &ui.Notice{Tone: "bad", Text: rest}
		}
		return v.renderStatus(http.StatusUnprocessableEntity, passwordPage(view))
	}
	if err != nil {
		return err
	}
	v.tell("Your password is changed, and every other browser is signed out.")
	return v.redirect(ui.PathSystem)
}
