package console

import (
	"context"
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"gatehouse/app"
	"gatehouse/app/routing"
	"gatehouse/app/traffic"
	"gatehouse/web/ui"
)

// firstName names the upstream and the route that the first steps make.
const firstName = "app"

// startIfNeeded returns the first steps, until a request has passed.
func (s *site) startIfNeeded(ctx context.Context, v *visit) (*startView, error) {
	month, err := s.Traffic.Snapshot(ctx, traffic.Range30d)
	if err != nil {
		return nil, err
	}
	hour, err := s.Traffic.Snapshot(ctx, traffic.Range1h)
	if err != nil || month.Allowed+hour.Allowed > 0 {
		return nil, err
	}
	return s.startView(ctx, v)
}

func (s *site) startView(ctx context.Context, v *visit) (*startView, error) {
	upstreams, err := s.Routing.Upstreams(ctx, v.actor)
	if err != nil {
		return nil, err
	}
	orgs, err := s.Orgs.List(ctx, v.actor, app.Page{Limit: 1})
	if err != nil {
		return nil, err
	}
	view := &startView{Gateway: s.About.Gateway, DataDir: s.About.DataDir, HasRoute: len(upstreams) > 0 || len(s.health()) > 0,
		HasOrg: len(orgs.Items) > 0, Address: addressField("", ""), Name: ui.Field{Name: "name", Label: "Name of the organization", Placeholder: "Acme Robotics"}}
	if view.HasOrg {
		view.Org = orgs.Items[0].Slug
	}
	return view, nil
}

func addressField(value, wrong string) ui.Field {
	return ui.Field{Name: "address", Label: "Address of your app", Value: value, Wrong: wrong, Placeholder: "http://127.0.0.1:3000", Mono: true, Type: "url"}
}

func (s *site) startParts(ctx context.Context, v *visit) (map[string]templ.Component, error) {
	view, err := s.startIfNeeded(ctx, v)
	if err != nil {
		return nil, err
	}
	if view == nil {
		return map[string]templ.Component{"steps": ui.NoticeBox(ui.Notice{Tone: "ok", Name: "It works.",
			Text: "The first request passed the gate and was counted.", Href: ui.PathOverview, Link: "Show all of the overview"})}, nil
	}
	return map[string]templ.Component{"steps": startSteps(*view)}, nil
}

// startApp makes the first upstream and the route to it.
func (s *site) startApp(v *visit) error {
	address := strings.TrimSpace(v.r.PostFormValue("address"))
	_, err := s.Routing.Apply(v.ctx(), v.actor, routing.Set{
		Upstreams: []app.Upstream{{Name: firstName, Addresses: []string{strings.TrimSuffix(address, "/")}}},
		Routes:    []app.Route{{Name: firstName, PathPrefix: "/", Upstream: firstName}},
	}, false)
	if app.IsKind(err, app.KindInvalid) {
		return s.startWrong(v, address, app.AsError(err))
	}
	if err != nil {
		return err
	}
	v.tell("Requests go to your app from now on.")
	return v.redirect(ui.PathOverview)
}

func (s *site) startWrong(v *visit, address string, wrong *app.Error) error {
	view, err := s.startView(v.ctx(), v)
	if err != nil {
		return err
	}
	live, err := s.overviewLive(v.ctx(), v, traffic.Range1h)
	if err != nil {
		return err
	}
	view.Address = addressField(address, wrongText(wrong))
	view.Address.Focus = true
	v.w.WriteHeader(http.StatusUnprocessableEntity)
	return v.render(overviewPage(overviewView{Page: s.page(v, "Overview", "overview"), Range: traffic.Range1h, Start: view, Live: live,
		Subtitle: "The address is not valid"}))
}

// wrongText is what to show beside a form's only field.
func wrongText(e *app.Error) string {
	if len(e.Fields) > 0 {
		return e.Fields[0].Message
	}
	return e.Message
}
