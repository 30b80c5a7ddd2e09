package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/app/export"
	"gatehouse/web/ui"
)

// Rows of a page of customers, and of reports.
const (
	customersPerPage = 50
	reportsPerPage   = 50
)

// moneyTabs are the pages of money; the path is the one that is shown.
func (s *site) moneyTabs(path string) ui.Choices {
	tabs := ui.Choices{Label: "Money", Items: []ui.Choice{{Label: "Rates", Href: ui.PathRates}}}
	if s.sellsByStripe() {
		tabs.Items = append(tabs.Items, ui.Choice{Label: "Stripe", Href: ui.PathStripe})
	}
	for i := range tabs.Items {
		tabs.Items[i].Current = tabs.Items[i].Href == path
	}
	return tabs
}

func (s *site) sellsByStripe() bool { return s.Customers != nil && s.Outbox != nil }

// stripe shows what becomes of reported usage, and who is which customer.
func (s *site) stripe(v *visit) error {
	if !s.sellsByStripe() {
		return app.NotFound("page")
	}
	status, err := s.Outbox.Status(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	list, err := s.Customers.Customers(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := stripeView{Page: s.page(v, "Stripe", "money"), Tabs: s.moneyTabs(ui.PathStripe), On: s.About.Stripe, Figures: stripeFigures(status),
		Parked: status.Parked, Query: strings.TrimSpace(v.query("q")), Known: len(list) > 0}
	if err := s.reportRows(v, &view, status); err != nil {
		return err
	}
	if err := s.customerRows(v, &view, list); err != nil {
		return err
	}
	return v.render(stripePage(view))
}

func stripeFigures(s export.StripeStatus) []ui.Figure {
	figures := []ui.Figure{
		{Label: "Due", Value: ui.Short(s.Due), Note: "sent within the next minute"},
		{Label: "Waiting", Value: ui.Short(s.Waiting), Note: "no organization waits for a customer"},
		{Label: "Delivered, 35 days", Value: ui.Short(s.Delivered), Note: "Stripe has them, each once"},
		{Label: "Parked", Value: ui.Short(s.Parked), Note: "Stripe refused nothing"},
	}
	if s.Waiting > 0 {
		figures[1].Note, figures[1].Tone = "for a customer at Stripe", "near"
	}
	if s.Parked > 0 {
		figures[3].Note, figures[3].Tone = "until somebody retries them", "down"
	}
	return figures
}

// orgNamed finds an organization by its id; one that was deleted keeps the id.
func (s *site) orgNamed(v *visit, id app.OrgID) (name, slug string, err error) {
	o, err := s.Orgs.Find(v.ctx(), v.actor, string(id))
	if app.IsKind(err, app.KindNotFound) {
		return string(id), "", nil
	}
	return o.Name, o.Slug, err
}

// reportStates are what the list of reports can be narrowed to; the first is
// what needs somebody.
var reportStates = []ui.Choice{{Label: "Needs somebody"}, {Label: "Parked", Href: string(app.MeterEventParked)}, {Label: "Waiting", Href: string(app.MeterEventWaiting)},
	{Label: "Due", Href: string(app.MeterEventDue)}, {Label: "Delivered", Href: string(app.MeterEventDelivered)}}

// reportRows fills in the reports: what needs somebody, or a page of a state.
func (s *site) reportRows(v *visit, view *stripeView, status export.StripeStatus) error {
	state, list := "", status.Troubles
	view.States.Label = "Reports"
	for _, choice := range reportStates {
		if choice.Href == v.query("state") {
			state = choice.Href
		}
	}
	for _, choice := range reportStates {
		view.States.Items = append(view.States.Items, ui.Choice{Label: choice.Label, Current: choice.Href == state, Href: ui.With(ui.PathStripe, "state", choice.Href)})
	}
	if state != "" {
		found, err := s.Outbox.Events(v.ctx(), v.actor, app.MeterEventState(state), "", app.Page{Cursor: v.query("after"), Limit: reportsPerPage})
		if err != nil {
			return err
		}
		list, view.ReportPager.Text = found.Items, ui.Plural(int64(len(found.Items)), "report")+" on this page, the newest change first"
		if v.query("after") != "" {
			view.ReportPager.First = ui.With(ui.PathStripe, "state", state)
		}
		if found.Next != "" {
			view.ReportPager.Next = ui.With(ui.PathStripe, "state", state, "after", found.Next)
		}
	} else if more := status.Parked + status.Waiting - int64(len(list)); more > 0 {
		view.ReportPager.Text = "The newest " + ui.Count(int64(len(list))) + " of " + ui.Count(status.Parked+status.Waiting) + ". Parked and Waiting list them all."
	}
	return s.fillReports(v, view, list)
}

func (s *site) fillReports(v *visit, view *stripeView, list []app.MeterEvent) error {
	meters, err := s.meters(v)
	if err != nil {
		return err
	}
	for _, e := range list {
		m := meterNamed(meters, e.Meter)
		row := reportRow{ID: e.Identifier, What: joinSome(" ", quantity(m, e.Value), unitsOf(m)), Meter: m.Name, At: v.moment(e.At)}
		name, slug, err := s.orgNamed(v, e.Org)
		if err != nil {
			return err
		}
		row.Name = name
		if slug != "" {
			row.Href = ui.With(ui.Org(slug, "usage"), "meter", e.Meter)
		}
		row.become(e, slug, s.Now())
		view.Reports = append(view.Reports, row)
	}
	return nil
}

// become says in which state the report is, why, and what can be done.
func (row *reportRow) become(e app.MeterEvent, slug string, now time.Time) {
	switch e.State {
	case app.MeterEventParked:
		row.State, row.Reason = ui.Badge{Text: "Parked", Tone: "bad"}, orText(e.Reason, "Its answer was lost")
		row.Act, row.Link = stripePath("retry", "id", e.Identifier), "Retry"
	case app.MeterEventWaiting:
		row.State, row.Reason = ui.Badge{Text: "Waiting", Tone: "warn"}, "Its organization has no customer at Stripe"
		if slug != "" {
			row.Act, row.Link = stripePath("customer", "org", slug), "Set customer"
		}
	case app.MeterEventDelivered:
		row.State, row.Reason = ui.Badge{Text: "Delivered", Tone: "ok"}, "After "+ui.Plural(e.Attempts, "try")
		if e.Attempts != 1 {
			row.Reason = "After " + ui.Count(e.Attempts) + " tries"
		}
	default:
		row.State, row.Reason = ui.Badge{Text: "Due"}, "Sent within a minute"
		if e.Attempts > 0 && e.NextAt.After(now) {
			row.Reason = joinSome(" ", orText(e.Reason, "No answer yet")+";", "tried again in", ui.Span(e.NextAt.Sub(now).Truncate(time.Second)))
		}
	}
}

// stripePath is the path of an act on the page.
func stripePath(act string, pairs ...string) string { return ui.With(ui.PathStripe+"/"+act, pairs...) }

// customerRows fills in one page of the customers that the query finds.
func (s *site) customerRows(v *visit, view *stripeView, list []app.BillingCustomer) error {
	list, err := s.customersFound(v, view.Query, list)
	if err != nil {
		return err
	}
	page, _ := strconv.Atoi(v.query("page")) // what is no number is the first page
	last := max((len(list)-1)/customersPerPage, 0)
	page = min(max(page-1, 0), last)
	for _, c := range list[page*customersPerPage : min(len(list), (page+1)*customersPerPage)] {
		name, slug, err := s.orgNamed(v, c.Org)
		if err != nil {
			return err
		}
		row := customerRow{Name: name, Slug: slug, Customer: c.Customer, At: v.moment(c.UpdatedAt)}
		if slug != "" {
			row.Href, row.Change, row.Remove = ui.Org(slug, ""), stripePath("customer", "org", slug), stripePath("remove", "org", slug)
		}
		view.Customers = append(view.Customers, row)
	}
	view.Pager = ui.Pager{Text: ui.Plural(int64(len(list)), "customer")}
	if page > 0 {
		view.Pager.First = ui.With(ui.PathStripe, "q", view.Query)
	}
	if page < last {
		view.Pager.Next = ui.With(ui.PathStripe, "q", view.Query, "page", strconv.Itoa(page+2))
	}
	return nil
}

// customersFound are those whose id at Stripe holds the query, or whose
// organization is found by it.
func (s *site) customersFound(v *visit, query string, list []app.BillingCustomer) ([]app.BillingCustomer, error) {
	if query == "" {
		return list, nil
	}
	orgs, err := s.Orgs.List(v.ctx(), v.actor, app.Page{Search: query, Limit: app.MaxPageLimit})
	found := map[app.OrgID]bool{}
	for _, o := range orgs.Items {
		found[o.ID] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(c app.BillingCustomer) bool {
		return !found[c.Org] && !strings.Contains(strings.ToLower(c.Customer), strings.ToLower(query))
	}), err
}

// askCustomer is the form that names an organization's customer.
func (s *site) askCustomer(v *visit) error {
	if !s.sellsByStripe() {
		return app.NotFound("page")
	}
	slug := strings.TrimSpace(v.query("org"))
	view := s.customerForm(v, slug, "")
	if slug != "" {
		o, err := s.Orgs.Find(v.ctx(), v.actor, slug)
		if err != nil {
			return err
		}
		known, err := s.Customers.Customer(v.ctx(), v.actor, o.ID)
		if err != nil && !app.IsKind(err, app.KindNotFound) {
			return err
		}
		view.Org.Value, view.Org.Focus, view.Customer.Focus = o.Slug, false, true
		view.Customer.Value, view.Now = known.Customer, known.Customer
	}
	return v.render(customerPage(view))
}

func (s *site) customerForm(v *visit, slug, customer string) customerView {
	return customerView{Page: s.page(v, "Customer at Stripe", "money"),
		Org: ui.Field{Name: "org", Label: "Organization", Value: slug, Autocomplete: "off", Mono: true, Focus: true, Hint: "Its slug or id, such as acme-inc."},
		Customer: ui.Field{Name: "customer", Label: "Customer", Value: customer, Autocomplete: "off", Mono: true, Placeholder: "cus_…", Max: 255,
			Hint: "The id that Stripe’s dashboard shows beside the customer’s name."}}
}

// setCustomer names an organization's customer; what is wrong is said beside the field.
func (s *site) setCustomer(v *visit) error {
	if !s.sellsByStripe() {
		return app.NotFound("page")
	}
	slug, customer := v.form("org"), v.form("customer")
	view := s.customerForm(v, slug, customer)
	o, err := s.Orgs.Find(v.ctx(), v.actor, slug)
	if app.IsKind(err, app.KindNotFound) || slug == "" {
		view.Org.Wrong = "There is no organization of this slug or id"
		return v.renderStatus(http.StatusUnprocessableEntity, customerPage(view))
	}
	if err == nil {
		_, err = s.Customers.Set(v.ctx(), v.actor, o.ID, customer)
	}
	if app.IsKind(err, app.KindInvalid) {
		view.Org.Focus, view.Customer.Focus = false, true
		if rest := placeErrors(app.AsError(err), &view.Customer); rest != "" {
			view.Notice = &ui.Notice{Tone: "bad", Text: rest}
		}
		return v.renderStatus(http.StatusUnprocessableEntity, customerPage(view))
	}
	if err != nil {
		return err
	}
	v.tell(o.Name + " is " + customer + " at Stripe. Usage that waited for it is sent within a minute.")
	return v.redirect(ui.PathStripe)
}

// askRemoveCustomer asks before usage of an organization stops being reported.
func (s *site) askRemoveCustomer(v *visit) error {
	return s.removeCustomerSheet(v, "", http.StatusOK)
}

func (s *site) removeCustomerSheet(v *visit, wrong string, status int) error {
	if !s.sellsByStripe() {
		return app.NotFound("page")
	}
	o, err := s.Orgs.Find(v.ctx(), v.actor, v.query("org"))
	if err != nil {
		return err
	}
	known, err := s.Customers.Customer(v.ctx(), v.actor, o.ID)
	if err != nil {
		return err
	}
	return v.renderStatus(status, confirmPage(confirmView{Page: s.page(v, "Remove a customer", "money"), Crumb: ui.Choice{Label: "Stripe", Href: ui.PathStripe}, Here: "remove",
		Confirm: ui.Confirm{Title: "Stop reporting the usage of " + o.Name, Name: o.Slug, NameIs: "slug", Wrong: wrong, Button: "Remove", Destroy: true, Back: ui.PathStripe,
			Action: stripePath("remove", "org", o.Slug), Lines: []string{"Gatehouse forgets that it is " + known.Customer + ". Its usage is still counted, and waits here until it has a customer again.",
				"What Stripe has got, Stripe keeps."}}}))
}

func (s *site) removeCustomer(v *visit) error {
	if !s.sellsByStripe() {
		return app.NotFound("page")
	}
	o, err := s.Orgs.Find(v.ctx(), v.actor, v.query("org"))
	if err != nil {
		return err
	}
	if v.form("confirm") != o.Slug {
		return s.removeCustomerSheet(v, "This is not its slug", http.StatusUnprocessableEntity)
	}
	if err := s.Customers.Remove(v.ctx(), v.actor, o.ID); err != nil {
		return err
	}
	v.tell(o.Name + " has no customer at Stripe any more. Its usage waits.")
	return v.redirect(ui.PathStripe)
}

// askRetry asks before parked usage is sent again: of one whose answer was
// lost nobody but Stripe's dashboard knows whether it arrived.
func (s *site) askRetry(v *visit) error {
	if !s.sellsByStripe() {
		return app.NotFound("page")
	}
	status, err := s.Outbox.Status(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	id := v.query("id")
	sheet := ui.Confirm{Title: "Send all that is parked again", Button: "Retry " + ui.Count(status.Parked), Back: ui.PathStripe, Action: stripePath("retry"),
		Lines: []string{ui.Plural(status.Parked, "report") + " that Stripe refused, or whose answer was lost for too long, are sent again.", retryWarning}}
	if id != "" {
		sheet.Title, sheet.Button, sheet.Action, sheet.Lines = "Send this report again", "Retry", stripePath("retry", "id", id), []string{retryWarning}
		i := slices.IndexFunc(status.Troubles, func(e app.MeterEvent) bool { return e.Identifier == id && e.State == app.MeterEventParked })
		if i >= 0 { // else it is one of many, of which the newest are at hand
			sheet.Lines = append([]string{"Why it is parked: " + sentence(orText(status.Troubles[i].Reason, "its answer was lost"))}, sheet.Lines...)
		}
		sheet.Lines = append(sheet.Lines, "Its identifier at Stripe: "+id)
	}
	return v.render(confirmPage(confirmView{Page: s.page(v, sheet.Title, "money"), Crumb: ui.Choice{Label: "Stripe", Href: ui.PathStripe}, Here: "retry", Confirm: sheet}))
}

const retryWarning = "Where the answer was lost, look in Stripe first whether the report arrived: Stripe knows an identifier for a day alone, and would count it twice after that."

func (s *site) retryReports(v *visit) error {
	if !s.sellsByStripe() {
		return app.NotFound("page")
	}
	n, err := s.Outbox.Retry(v.ctx(), v.actor, v.query("id"))
	if err != nil {
		return err
	}
	v.tell(ui.Plural(n, "report") + " due again. They are sent within a minute.")
	return v.redirect(ui.PathStripe)
}
