package console

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// health is how the addresses of each upstream are, by its name.
func (s *site) health() map[string][]AddressStatus {
	if s.Upstreams == nil {
		return nil
	}
	return s.Upstreams()
}

func (s *site) traffic(v *visit) error {
	routes, err := s.Routing.Routes(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	cards, err := s.upstreamCards(v.ctx(), v)
	if err != nil {
		return err
	}
	rows, err := s.Usage.Usage(v.ctx(), v.actor, app.UsageQuery{Since: monthStart(v.now, v.zone), Until: quarterAfter(v.now), Group: "route"})
	if err != nil {
		return err
	}
	used := map[string]int64{}
	for _, row := range rows {
		used[row.Group] += row.Requests
	}
	view := trafficView{Page: s.page(v, "Traffic", "traffic", "traffic"), Upstreams: cards}
	for _, r := range routes {
		view.Routes = append(view.Routes, routeRowOf(r, used[string(routeID(r))]))
	}
	return v.render(trafficPage(view))
}

func routeRowOf(r app.Route, used int64) routeRow {
	return routeRow{Name: r.Name, Href: ui.Route(r.Name), Match: matchOf(r), Methods: orWords(r.Methods, "Any"), Upstream: r.Upstream, UpstreamHref: ui.Upstream(r.Upstream),
		Auth: authOf(r), Limits: orText(ratesOf(r.RateLimits), "Of plan and key"), Requests: ui.Short(used), Egress: egressWords(r), Cost: routeCost(r)}
}

func matchOf(r app.Route) string {
	if len(r.Hosts) == 0 {
		return r.PathPrefix
	}
	first := r.Hosts[0] + r.PathPrefix
	if len(r.Hosts) > 1 {
		first += fmt.Sprintf(" and %d more", len(r.Hosts)-1)
	}
	return first
}

func orWords(words []string, none string) string { return orText(strings.Join(words, ", "), none) }

func orText(text, none string) string {
	if text == "" {
		return none
	}
	return text
}

func authOf(r app.Route) string {
	if len(r.Auth) == 0 {
		return "API key"
	}
	var names []string
	for _, mode := range r.Auth {
		switch mode {
		case app.AuthKey:
			names = append(names, "API key")
		case app.AuthJWT:
			names = append(names, "JWT")
		case app.AuthSession:
			names = append(names, "session")
		case app.AuthOptional:
			names = append(names, "or nobody")
		case app.AuthNone:
			names = append(names, "nobody")
		}
	}
	return strings.Join(names, ", ")
}

// ratesOf writes rate limits in short: "100 / minute, 1,000 / hour".
func ratesOf(rates []app.RateLimit) string {
	var texts []string
	for _, r := range rates {
		texts = append(texts, ui.Count(r.Requests)+"\u00a0/\u00a0"+ui.Window(r.Window.Std()))
	}
	return strings.Join(texts, ", ")
}

func (s *site) trafficParts(ctx context.Context, v *visit) (map[string]templ.Component, error) {
	cards, err := s.upstreamCards(ctx, v)
	return map[string]templ.Component{"upstreams": upstreams(cards)}, err
}

// upstreamCards lists the upstreams of the store, and the one that comes from
// configuration.
func (s *site) upstreamCards(ctx context.Context, v *visit) ([]upstreamCard, error) {
	list, err := s.Routing.Upstreams(ctx, v.actor)
	if err != nil {
		return nil, err
	}
	health := s.health()
	var cards []upstreamCard
	for _, u := range list {
		cards = append(cards, s.upstreamCard(v, u, health[u.Name]))
		delete(health, u.Name)
	}
	var configured []string
	for name := range health {
		configured = append(configured, name)
	}
	slices.Sort(configured)
	for _, name := range configured {
		card := s.upstreamCard(v, app.Upstream{Name: name}, health[name])
		card.Check = "from the configuration"
		cards = append(cards, card)
	}
	return cards, nil
}

func (s *site) upstreamCard(v *visit, u app.Upstream, health []AddressStatus) upstreamCard {
	card := upstreamCard{Name: u.Name, Href: ui.Upstream(u.Name), Protocol: protocolOf(u), Check: checkOf(u), Credential: credentialOf(u)}
	well := 0
	for _, a := range health {
		if a.Healthy {
			well++
		}
		card.Addresses = append(card.Addresses, s.addressRow(v, a))
	}
	switch {
	case len(health) == 0:
		card.State = ui.State{Text: "Not in use yet", Tone: "off"}
		for _, address := range u.Addresses {
			card.Addresses = append(card.Addresses, addressRow{Address: address, State: card.State, InFlight: ui.Dash, Latency: ui.Dash, Requests: ui.Dash, Failures: ui.Dash})
		}
	case well == len(health):
		card.State = ui.State{Text: "Healthy"}
	case well == 0:
		card.State = ui.State{Text: "Down", Tone: "bad"}
	default:
		card.State = ui.State{Text: fmt.Sprintf("%d of %d healthy", well, len(health)), Tone: "warn"}
	}
	return card
}

func (s *site) addressRow(v *visit, a AddressStatus) addressRow {
	row := addressRow{Address: a.Address, State: ui.State{Text: "Healthy"}, InFlight: ui.Count(a.InFlight), Latency: ui.Dash, Requests: ui.Short(a.Requests), Failures: ui.Short(a.Failures)}
	if !a.Healthy {
		row.State = ui.State{Text: "Left out", Tone: "bad"}
	}
	if a.Latency > 0 {
		row.Latency = ui.Millis(a.Latency)
	}
	if a.Failures > 0 {
		row.Tone = "down"
	}
	if a.LastError != "" {
		row.Error = a.LastError
		if !a.LastErrorAt.IsZero() {
			row.Error = ui.DateTime(a.LastErrorAt, v.zone) + ": " + a.LastError
		}
	}
	return row
}

func protocolOf(u app.Upstream) string {
	switch u.Protocol {
	case app.ProtocolHTTP:
		return "HTTP/1.1"
	case app.ProtocolH2:
		return "HTTP/2"
	case app.ProtocolH2C:
		return "HTTP/2 without TLS"
	}
	return "HTTP/1.1 or HTTP/2"
}

func checkOf(u app.Upstream) string {
	if u.Health == nil {
		return "judged by its answers"
	}
	every := u.Health.Interval
	if every == 0 {
		every = app.Duration(5 * time.Second) // app.HealthCheck's default
	}
	return fmt.Sprintf("GET %s every %s", u.Health.Path, ui.Span(every.Std()))
}

func (s *site) routePage(v *visit) error {
	routes, err := s.Routing.Routes(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(routes, func(r app.Route) bool { return r.Name == v.r.PathValue("name") })
	if at < 0 {
		return app.NotFound("route")
	}
	r := routes[at]
	view := detailView{Page: s.page(v, "Route "+r.Name, "traffic"), Crumb: ui.Choice{Label: "Traffic", Href: ui.PathTraffic}, Name: r.Name,
		Subtitle: "Route · " + matchOf(r) + " → " + r.Upstream, Definition: definition(routeFile{Routes: []app.Route{plainRoute(r)}}), Apply: "gatehouse route apply -f routes.json"}
	view.Groups = []factGroup{{"Takes", []capRow{{What: "Hosts", Value: orWords(r.Hosts, "Any")}, {What: "Path prefix", Value: r.PathPrefix}, {What: "Methods", Value: orWords(r.Methods, "Any")},
		{What: "Closed paths", Value: orWords(r.Closed, "None")}, {What: "Body", Value: "at most " + ui.Bytes(orNumber(r.BodyLimit, app.DefaultBodyLimit))}}},
		{"Asks for", []capRow{{What: "Identified by", Value: authOf(r)}, {What: "Scopes", Value: orWords(r.Scopes, "None")}, {What: "Rate limits", Value: orText(ratesOf(r.RateLimits), "Those of plan and key")},
			{What: "Weight", Value: ui.Plural(orNumber(r.Weight, app.DefaultWeight), "unit")}, {What: "Meters", Value: orWords(r.Meters, "requests, bytes, duration")}}},
		{"Forwards", forwards(r)}, {"Costs", costsOf(r)}}
	return v.render(detailPage(view))
}

func orNumber(n, none int64) int64 {
	if n == 0 {
		return none
	}
	return n
}

func forwards(r app.Route) []capRow {
	timeout := r.Timeout
	if timeout == 0 {
		timeout = app.DefaultTimeout
	}
	shared := "An organization's own upstream wins"
	if r.SharedUpstream {
		shared = "Also for organizations with their own"
	}
	return []capRow{{What: "Upstream", Value: r.Upstream, Note: shared}, {What: "Strip prefix", Value: orText(r.StripPrefix, ui.Dash)}, {What: "Add prefix", Value: orText(r.AddPrefix, ui.Dash)},
		{What: "Headers", Value: editsOf(r.Headers)}, {What: "Query", Value: editsOf(r.Query)}, {What: "Timeout", Value: ui.Span(timeout.Std()), Note: "until the answer's head"}}
}

func editsOf(e app.Edits) string {
	var texts []string
	for name, value := range e.Set {
		texts = append(texts, "set "+name+": "+value)
	}
	slices.Sort(texts)
	for _, name := range e.Remove {
		texts = append(texts, "remove "+name)
	}
	return orWords(texts, "As they come")
}

func (s *site) upstreamPage(v *visit) error {
	u, card, err := s.upstream(v.ctx(), v, v.r.PathValue("name"))
	if err != nil {
		return err
	}
	view := detailView{Page: s.page(v, "Upstream "+u.Name, "traffic", "upstream."+u.Name), Crumb: ui.Choice{Label: "Traffic", Href: ui.PathTraffic}, Name: u.Name, Upstream: &card,
		Subtitle: "Upstream · " + card.Protocol + " · " + card.Check, Badge: &ui.Badge{Text: card.State.Text, Tone: badgeTone(card.State.Tone)},
		Definition: definition(routeFile{Upstreams: []app.Upstream{plainUpstream(u)}}), Apply: "gatehouse route apply -f routes.json"}
	connect := "Default"
	if u.ConnectTimeout > 0 {
		connect = ui.Span(u.ConnectTimeout.Std())
	}
	most := "Unlimited"
	if u.MaxConnections > 0 {
		most = ui.Count(u.MaxConnections) + " per address"
	}
	view.Groups = []factGroup{{"Connections", []capRow{{What: "Protocol", Value: card.Protocol}, {What: "Host header", Value: orText(u.HostHeader, "The client's")},
		{What: "Connect timeout", Value: connect}, {What: "Connections", Value: most}, credentialRow(u)}}, {"Health", []capRow{{What: "Check", Value: card.Check}, {What: "Used by", Value: s.usedBy(v, u.Name)}}}}
	return v.render(detailPage(view))
}

func badgeTone(dot string) string {
	switch dot {
	case "":
		return "ok"
	case "off":
		return ""
	}
	return dot
}

func (s *site) usedBy(v *visit, name string) string {
	routes, err := s.Routing.Routes(v.ctx(), v.actor)
	if err != nil {
		return ui.Dash
	}
	var names []string
	for _, r := range routes {
		if r.Upstream == name {
			names = append(names, r.Name)
		}
	}
	return orWords(names, "No route")
}

// upstream finds an upstream of the store, or the one that comes from configuration.
func (s *site) upstream(ctx context.Context, v *visit, name string) (app.Upstream, upstreamCard, error) {
	list, err := s.Routing.Upstreams(ctx, v.actor)
	if err != nil {
		return app.Upstream{}, upstreamCard{}, err
	}
	health := s.health()
	for _, u := range list {
		if u.Name == name {
			return u, s.upstreamCard(v, u, health[name]), nil
		}
	}
	if known, ok := health[name]; ok {
		u := app.Upstream{Name: name}
		for _, a := range known {
			u.Addresses = append(u.Addresses, a.Address)
		}
		return u, s.upstreamCard(v, u, known), nil
	}
	return app.Upstream{}, upstreamCard{}, app.NotFound("upstream")
}

func (s *site) upstreamParts(ctx context.Context, v *visit, name string) (map[string]templ.Component, error) {
	_, card, err := s.upstream(ctx, v, name)
	return map[string]templ.Component{"addresses": addressCard(card)}, err
}

// routeFile and planFile are what `apply -f` takes.
type routeFile struct {
	Upstreams []app.Upstream `json:"upstreams,omitempty"`
	Routes    []app.Route    `json:"routes,omitempty"`
}

type planFile struct {
	Plans []app.Plan `json:"plans"`
}

// plainRoute is a route as a file says it: without what the store adds.
func plainRoute(r app.Route) app.Route {
	r.ID, r.CreatedAt, r.UpdatedAt = "", time.Time{}, time.Time{}
	return r
}

func plainUpstream(u app.Upstream) app.Upstream {
	u.ID, u.CreatedAt, u.UpdatedAt = "", time.Time{}, time.Time{}
	if u.Credential != nil { // without a secret, applying keeps the stored one
		u.Credential = &app.Credential{Header: u.Credential.Header, Prefix: u.Credential.Prefix}
	}
	return u
}

// definition writes an object as a file to apply.
func definition(file any) string {
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return "{}" // nouns of app always marshal
	}
	return string(text)
}
