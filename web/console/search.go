package console

import (
	"strings"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// pagesFound are what the command bar can go to and do.
var pagesFound = []hit{
	{"overview", "Overview", ui.PathOverview, "Page"}, {"orgs", "Organizations", ui.PathOrgs, "Page"}, {"plus", "New organization", ui.PathNewOrg, "Do"},
	{"usage", "Usage", ui.PathUsage, "Page"}, {"usage", "Meters", ui.PathMeters, "Page"}, {"money", "Rates: prices of models", ui.PathRates, "Page"}, {"traffic", "Traffic: routes and upstreams", ui.PathTraffic, "Page"}, {"plans", "Plans and limits", ui.PathPlans, "Page"},
	{"system", "System: checks, version", ui.PathSystem, "Page"}, {"ledger", "Usage ledger: proof", ui.PathLedger, "Page"}, {"key", "Operator keys", ui.PathKeys, "Page"}, {"plus", "New operator key", ui.NewKey(""), "Do"},
	{"device", "Sessions", ui.PathSessions, "Page"}, {"lock", "Change password", ui.PathPassword, "Do"},
}

// maxHits bounds each group of what is found.
const maxHits = 8

func (s *site) search(v *visit) error {
	query := strings.TrimSpace(v.query("q"))
	view := searchView{Page: s.page(v, "Search", ""), Query: query}
	view.Page.Query = query
	if looksSecret(query) {
		view.Secret, view.Query, view.Page.Query = true, "", ""
	} else if err := s.find(v, &view); err != nil {
		return err
	}
	if v.query("part") != "" {
		return v.render(searchPart(view))
	}
	return v.render(searchPage(view))
}

// looksSecret reports whether the text begins like a secret of ours: of keys,
// sessions and links.
func looksSecret(text string) bool {
	for _, prefix := range []string{"gk_live_", "gk_test_", "ga_live_", "gc_", "gs_", "gl_"} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

func (s *site) find(v *visit, view *searchView) error {
	if len(view.Query) > 200 {
		return nil
	}
	if view.Query != "" {
		orgs, err := s.Orgs.List(v.ctx(), v.actor, app.Page{Search: view.Query, Limit: maxHits})
		if err != nil {
			return err
		}
		s.addOrgs(v, view, orgs.Items)
		if err := s.findRoutes(v, view); err != nil {
			return err
		}
	}
	view.add("Pages", matching(pagesFound, view.Query))
	return nil
}

// addOrgs adds organizations by name or slug, or the one whose id was asked for.
func (s *site) addOrgs(v *visit, view *searchView, list []app.Org) {
	if strings.HasPrefix(view.Query, "org_") {
		if o, err := s.Orgs.Find(v.ctx(), v.actor, view.Query); err == nil {
			list = append([]app.Org{o}, list...)
		}
	}
	var hits []hit
	for _, o := range list {
		hits = append(hits, hit{"orgs", o.Name, ui.Org(o.Slug, ""), o.Slug})
	}
	view.add("Organizations", hits)
}

func (s *site) findRoutes(v *visit, view *searchView) error {
	routes, err := s.Routing.Routes(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	upstreams, err := s.Routing.Upstreams(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	var hits []hit
	for _, r := range routes {
		hits = append(hits, hit{"traffic", r.Name, ui.Route(r.Name), "Route"})
	}
	for _, u := range upstreams {
		hits = append(hits, hit{"traffic", u.Name, ui.Upstream(u.Name), "Upstream"})
	}
	view.add("Traffic", matching(hits, view.Query))
	return nil
}

func (v *searchView) add(title string, hits []hit) {
	if len(hits) > 0 {
		v.Groups = append(v.Groups, hitGroup{title, hits})
	}
}

// matching keeps the hits whose label holds every word of the query.
func matching(hits []hit, query string) []hit {
	var found []hit
	for _, h := range hits {
		all := true
		for _, word := range strings.Fields(strings.ToLower(query)) {
			all = all && strings.Contains(strings.ToLower(h.Label), word)
		}
		if all && len(found) < maxHits+len(pagesFound) {
			found = append(found, h)
		}
	}
	return found
}
