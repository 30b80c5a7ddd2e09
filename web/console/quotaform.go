package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// quotaKey names the quota that a form is about.
type quotaKey struct {
	key    app.KeyID
	meter  string
	period app.QuotaPeriod
}

func (k quotaKey) of(x app.QuotaOverride) bool {
	return x.Key == k.key && x.Meter == k.meter && x.Period == k.period
}

var quotaPeriods = []ui.Option{{Value: string(app.PeriodMonth), Label: "Month"}, {Value: string(app.PeriodBilling), Label: "Billing period"}, {Value: string(app.PeriodDay), Label: "Day"},
	{Value: string(app.PeriodHour), Label: "Hour"}, {Value: string(app.PeriodMinute), Label: "Minute"}, {Value: string(app.PeriodLifetime), Label: "Lifetime"}}

// askQuota shows the form of one quota: with what holds now, or an empty one.
func (s *site) askQuota(v *visit) error {
	o, err := s.quotaOrg(v)
	if err != nil {
		return err
	}
	at := quotaKey{app.KeyID(v.query("key")), v.query("meter"), app.QuotaPeriod(v.query("period"))}
	now, err := s.quotaNow(v, o, at)
	if err != nil {
		return err
	}
	view, err := s.quotaForm(v, o, now)
	if err != nil {
		return err
	}
	view.Locked = at.meter != ""
	return v.render(quotaFormPage(view))
}

// quotaNow is the override as it is, or what an override of the plan's quota
// begins with.
func (s *site) quotaNow(v *visit, o app.Org, at quotaKey) (app.QuotaOverride, error) {
	overrides, err := s.Quotas.Find(v.ctx(), v.actor, o.Slug)
	if err != nil {
		return app.QuotaOverride{}, err
	}
	if i := slices.IndexFunc(overrides, at.of); i >= 0 {
		return overrides[i], nil
	}
	states, err := s.Quotas.Quotas(v.ctx(), v.actor, o.Slug)
	for _, q := range states {
		if q.Key == at.key && q.Meter == at.meter && q.Period == at.period {
			return app.QuotaOverride{Org: o.ID, Key: at.key, Quota: q.Quota}, err
		}
	}
	return app.QuotaOverride{Org: o.ID, Key: at.key, Quota: app.Quota{Meter: at.meter, Period: at.period, Limit: -1}}, err
}

func (s *site) quotaForm(v *visit, o app.Org, now app.QuotaOverride) (quotaFormView, error) {
	list, err := s.meters(v)
	if err != nil {
		return quotaFormView{}, err
	}
	names, err := s.keyNames(v, o)
	view := quotaFormView{Page: s.page(v, "Quota of "+o.Name, "orgs"), Slug: o.Slug, Name: o.Name, Unlimited: now.Unlimited,
		Meter:  ui.Select{Name: "meter", Label: "Meter", Value: now.Meter},
		Period: ui.Select{Name: "period", Label: "Period", Value: string(now.Period), Options: quotaPeriods, Hint: "Months and days begin in the time zone of the plan."},
		Key:    ui.Select{Name: "key", Label: "Holds for", Value: string(now.Key), Options: []ui.Option{{Label: "The whole organization"}}},
		Limit:  ui.Field{Name: "limit", Label: "Limit", Value: limitText(now.Quota), Loose: true, Autocomplete: "off", Max: 30, Hint: limitHint(list, now.Meter)},
		Mode: ui.Select{Name: "mode", Label: "At the limit", Value: string(now.Mode), Options: []ui.Option{
			{Value: string(app.QuotaHard), Label: "Stop (hard)", Note: "answered 402"}, {Value: string(app.QuotaSoft), Label: "Go on (soft)", Note: "notices alone; suspended at 200\u00a0%"}}},
		Grace:   ui.Field{Name: "grace", Label: "Grace", Value: strconv.FormatInt(now.Grace, 10), Optional: true, Autocomplete: "off", Max: 3, Hint: "Per cent beyond the limit that a hard quota lets pass, 0 to 100."},
		Overage: ui.Field{Name: "overage", Label: "Price beyond", Value: overageText(now.Quota), Optional: true, Autocomplete: "off", Max: 30, Hint: "Dollars for each unit beyond the limit of a soft quota, such as 0.002."},
		Reason:  ui.Field{Name: "reason", Label: "Reason", Value: now.Reason, Autocomplete: "off", Hint: "Kept with the quota, and shown here."}}
	for _, m := range list {
		view.Meter.Options = append(view.Meter.Options, ui.Option{Value: m.Slug, Label: meterAndUnit(m)})
	}
	if now.Meter != "" && !slices.ContainsFunc(list, func(m app.Meter) bool { return m.Slug == now.Meter }) {
		view.Meter.Options = append(view.Meter.Options, ui.Option{Value: now.Meter, Label: meterNamed(list, now.Meter).Name})
	}
	for id, name := range names {
		view.Key.Options = append(view.Key.Options, ui.Option{Value: string(id), Label: "Key " + name})
	}
	slices.SortFunc(view.Key.Options[1:], func(x, y ui.Option) int { return strings.Compare(x.Label+x.Value, y.Label+y.Value) })
	if view.Mode.Value == "" {
		view.Mode.Value = string(app.QuotaSoft)
		if now.Hard() {
			view.Mode.Value = string(app.QuotaHard)
		}
	}
	return view, err
}

// meterAndUnit names the meter, and its unit where the name does not hold it.
func meterAndUnit(m app.Meter) string {
	if strings.Contains(strings.ToLower(m.Name), strings.ToLower(m.Unit)) {
		return m.Name
	}
	return m.Name + ", in " + limitUnit(m)
}

// limitUnit is the unit in which a limit of the meter is written.
func limitUnit(m app.Meter) string {
	switch {
	case m.Slug == app.MeterCost:
		return "dollars"
	case m.Unit == "":
		return "units"
	}
	return m.Unit + "s"
}

// limitHint says how to write a limit of the meter; of one not yet chosen, how
// each is written.
func limitHint(list []app.Meter, slug string) string {
	example := "10,000"
	switch slug {
	case "":
		return "A whole number of the meter’s unit, such as 10,000; of the meter Cost dollars, such as 7.50."
	case app.MeterCost:
		example = "7.50"
	}
	return sentenceCase(limitUnit(meterNamed(list, slug))) + ", such as " + example + "."
}

func overageText(q app.Quota) string {
	if q.Overage == nil {
		return ""
	}
	return q.Overage.String()
}

func limitText(q app.Quota) string {
	switch {
	case q.Limit < 0:
		return ""
	case q.Meter == app.MeterCost:
		return app.Money(q.Limit).String()
	}
	return strings.ReplaceAll(ui.Count(q.Limit), ",", "")
}

// saveQuota puts an override.
func (s *site) saveQuota(v *visit) error {
	o, err := s.quotaOrg(v)
	if err != nil {
		return err
	}
	override, wrong := readQuota(v, o)
	if wrong == nil { // the form does not ask for the ladder: it stays
		before, err := s.quotaNow(v, o, quotaKey{override.Key, override.Meter, override.Period})
		if err != nil {
			return err
		}
		override.Thresholds = before.Thresholds
	}
	if wrong == nil {
		_, err = s.Quotas.Put(v.ctx(), v.actor, o.Slug, override)
		if app.IsKind(err, app.KindInvalid) {
			wrong = app.AsError(err)
		} else if err != nil {
			return err
		}
	}
	if wrong != nil {
		return s.quotaAgain(v, o, override, wrong)
	}
	v.tell("The quota is set. The next request sees it.")
	return v.redirect(ui.Org(o.Slug, "quotas"))
}

// quotaAgain shows the form with what is wrong in it, and what was typed.
func (s *site) quotaAgain(v *visit, o app.Org, override app.QuotaOverride, wrong *app.Error) error {
	view, err := s.quotaForm(v, o, override)
	if err != nil {
		return err
	}
	view.Locked, view.Limit.Value, view.Grace.Value, view.Overage.Value = v.form("locked") != "", v.form("limit"), v.form("grace"), v.form("overage")
	plain := *wrong
	plain.Fields = nil
	for _, f := range wrong.Fields {
		f.Field = strings.TrimPrefix(f.Field, "quota.")
		plain.Fields = append(plain.Fields, f)
	}
	if rest := placeErrors(&plain, &view.Limit, &view.Grace, &view.Overage, &view.Reason); rest != "" {
		view.Notice = &ui.Notice{Tone: "bad", Text: rest}
	}
	return v.renderStatus(http.StatusUnprocessableEntity, quotaFormPage(view))
}

// readQuota reads the form of a quota.
func readQuota(v *visit, o app.Org) (app.QuotaOverride, *app.Error) {
	x := app.QuotaOverride{Org: o.ID, Key: app.KeyID(v.form("key")), Reason: v.form("reason"), Unlimited: v.form("unlimited") != "",
		Quota: app.Quota{Meter: v.form("meter"), Period: app.QuotaPeriod(v.form("period")), Mode: app.QuotaMode(v.form("mode"))}}
	var wrong []app.FieldError
	add := func(field, message string) { wrong = append(wrong, app.FieldError{Field: field, Message: message}) }
	limit, ok := readLimit(x.Meter, v.form("limit"))
	if x.Limit = limit; !ok && !x.Unlimited {
		add("limit", "must be a number such as 10,000, or of the meter Cost dollars such as 7.50")
	}
	if text := v.form("grace"); text != "" {
		grace, err := strconv.ParseInt(text, 10, 64)
		if x.Grace = grace; err != nil {
			add("grace", "must be a number from 0 to 100")
		}
	}
	if text := strings.TrimPrefix(v.form("overage"), "$"); text != "" {
		price, err := app.ParseMoney(text)
		if x.Overage = &price; err != nil {
			add("overage", "must be dollars such as 0.002")
		}
	}
	if x.Reason == "" {
		add("reason", "must say why, for whoever looks at it next")
	}
	if wrong == nil {
		wrong = x.Check()
	}
	if wrong != nil {
		return x, app.InvalidFields(wrong)
	}
	return x, nil
}

// readLimit reads a limit: dollars for the meter "cost", else a whole number,
// which may have its thousands apart.
func readLimit(meter, text string) (int64, bool) {
	text = strings.NewReplacer(",", "", " ", "", "\u00a0", "", "$", "").Replace(text)
	if meter == app.MeterCost {
		amount, err := app.ParseMoney(text)
		return int64(amount), err == nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// askRemoveQuota asks before an override goes, and says what holds then.
func (s *site) askRemoveQuota(v *visit) error {
	o, err := s.quotaOrg(v)
	if err != nil {
		return err
	}
	at := quotaKey{app.KeyID(v.query("key")), v.query("meter"), app.QuotaPeriod(v.query("period"))}
	overrides, err := s.Quotas.Find(v.ctx(), v.actor, o.Slug)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(overrides, at.of) {
		return app.NotFound("override")
	}
	list, err := s.meters(v)
	if err != nil {
		return err
	}
	title := "Remove the override of " + meterNamed(list, at.meter).Name
	line := "From the next request on the plan's quota holds again, if it has one. If it has none, nothing stops this organization at a limit."
	if at.key != "" {
		line = "From the next request on this key has no quota of its own. The organization's still hold."
	}
	return v.render(confirmPage(confirmView{Page: s.page(v, title, "orgs"), Crumb: ui.Choice{Label: o.Slug, Href: ui.Org(o.Slug, "quotas")}, Here: "remove",
		Confirm: ui.Confirm{Title: title, Lines: []string{line, "What was used stays counted."}, Action: ui.Quota(o.Slug, "remove", at.key, at.meter, at.period), Button: "Remove", Destroy: true, Back: ui.Org(o.Slug, "quotas")}}))
}

func (s *site) removeQuota(v *visit) error {
	o, err := s.quotaOrg(v)
	if err != nil {
		return err
	}
	err = s.Quotas.Delete(v.ctx(), v.actor, o.Slug, app.KeyID(v.query("key")), v.query("meter"), app.QuotaPeriod(v.query("period")))
	if err != nil {
		return err
	}
	v.tell("The override is removed. What the plan says holds from the next request on.")
	return v.redirect(ui.Org(o.Slug, "quotas"))
}
