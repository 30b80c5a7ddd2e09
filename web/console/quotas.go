package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// nearQuotas is the number of quotas that the overview lists.
const nearQuotas = 5

// nearFrom is the per cent of a quota from which the overview lists it: where
// the ladder first tells.
const nearFrom = 80

// shownNotices bounds the notices of a page.
const shownNotices = 20

// orgQuotas is the page of an organization's quotas.
func (s *site) orgQuotas(v *visit) error {
	o, err := s.quotaOrg(v)
	if err != nil {
		return err
	}
	list, err := s.meters(v)
	if err != nil {
		return err
	}
	view := orgQuotasView{Page: s.page(v, "Quotas of "+o.Name, "orgs"), Head: s.orgHead(v, o, "quotas"), Slug: o.Slug}
	names, err := s.keyNames(v, o)
	if err != nil {
		return err
	}
	states, err := s.Quotas.States(v.ctx(), v.actor, o.ID)
	if err != nil {
		return err
	}
	view.Cards, view.Keys = quotaCards(v, o, states, list, names)
	if view.Overrides, err = s.overrideRows(v, o, list, names); err != nil {
		return err
	}
	if view.Notices, err = s.noticeRows(v, o.ID, list, names); err != nil {
		return err
	}
	view.Reserved, err = s.reservationRows(v, o, list, names)
	view.Reserves = s.Reservations != nil
	if err != nil {
		return err
	}
	return v.render(orgQuotasPage(view))
}

// quotaOrg finds the organization; without quotas there is no such page.
func (s *site) quotaOrg(v *visit) (app.Org, error) {
	if s.Quotas == nil {
		return app.Org{}, app.NotFound("page")
	}
	return s.org(v)
}

// keyNames maps ids of an organization's keys to their names.
func (s *site) keyNames(v *visit, o app.Org) (map[app.KeyID]string, error) {
	list, err := s.Keys.List(v.ctx(), v.actor, o.ID, app.Page{Limit: app.MaxPageLimit})
	names := map[app.KeyID]string{}
	for _, k := range list.Items {
		names[k.ID] = k.Name
	}
	return names, err
}

func nameOfKey(names map[app.KeyID]string, id app.KeyID) string {
	if id == "" {
		return ""
	}
	return cmp.Or(names[id], string(id))
}

// quotaCards shows the organization's own quotas as cards, those of its keys apart.
func quotaCards(v *visit, o app.Org, states []QuotaState, list []app.Meter, names map[app.KeyID]string) (cards, keys []quotaCard) {
	for _, q := range states {
		card := quotaCardOf(v.now, v.zone, q, list)
		card.Edit = ui.Quota(o.Slug, "edit", q.Key, q.Quota.Meter, q.Quota.Period)
		if q.Key == "" {
			cards = append(cards, card)
			continue
		}
		card.Key = nameOfKey(names, q.Key)
		keys = append(keys, card)
	}
	return cards, keys
}

// quotaCardOf says in words how full a quota is, until when, and how it goes on.
func quotaCardOf(now time.Time, zone *time.Location, q QuotaState, list []app.Meter) quotaCard {
	m := meterNamed(list, q.Quota.Meter)
	card := quotaCard{Title: m.Name, Override: q.Override, Soft: !q.Quota.Hard(), Ends: quotaEnds(now, q), Mode: quotaMode(m, q.Quota)}
	card.Fuse = ui.Fuse{Title: m.Name, Used: quantity(m, q.Used), Of: joinSome(" ", "of "+quantity(m, q.Quota.Limit), unitsOf(m)),
		Percent: ui.PercentOf(q.Used, q.Quota.Limit), Held: ui.PercentOf(q.Reserved, q.Quota.Limit)}
	if q.Reserved > 0 {
		card.Reserved = quantity(m, q.Reserved) + " more reserved by what runs"
	}
	card.Forecast, card.Tone = quotaForecast(now, zone, q)
	return card
}

// quotaEnds says which period it is and when it ends, in the zone of its plan.
func quotaEnds(now time.Time, q QuotaState) string {
	zone := q.Zone
	if zone == nil {
		zone = time.UTC
	}
	start := q.Start.In(zone)
	var name string
	switch q.Quota.Period {
	case app.PeriodMinute:
		return "Each minute"
	case app.PeriodHour:
		name = "This hour"
	case app.PeriodDay:
		name = start.Format("2 January")
	case app.PeriodMonth:
		name = start.Format("January 2006")
	case app.PeriodBilling:
		name = "Billing period from " + start.Format("2 January")
	default:
		return "For the organization's lifetime: it never resets"
	}
	if q.ResetsAt.IsZero() {
		return name
	}
	left := max(q.ResetsAt.Sub(now), time.Minute).Truncate(time.Minute)
	return fmt.Sprintf("%s; resets on %s %s, in %s", name, ui.DateTime(q.ResetsAt, zone), q.ResetsAt.In(zone).Format("MST"), ui.Span(left))
}

func quotaMode(m app.Meter, q app.Quota) string {
	switch {
	case !q.Hard() && q.Overage != nil:
		return "Soft: goes on at " + ui.Money(q.Overage.String()) + " each"
	case !q.Hard():
		return fmt.Sprintf("Soft: goes on, and suspends at %d %%", app.SuspendAt)
	case q.Grace > 0:
		return fmt.Sprintf("Hard: stops at %s, %d %% beyond", quantity(m, q.Ceiling()), q.Grace)
	}
	return "Hard: stops at the limit"
}

// quotaForecast says when the limit is reached at the present pace.
func quotaForecast(now time.Time, zone *time.Location, q QuotaState) (text, tone string) {
	switch {
	case q.Quota.Limit > 0 && q.Used >= q.Quota.Limit || q.Quota.Limit == 0:
		return "The limit is reached", "down"
	case q.Used == 0:
		return "Nothing used yet", ""
	case q.ExhaustedAt.IsZero() && q.ResetsAt.IsZero():
		return "No end in sight at this pace", ""
	case q.ExhaustedAt.IsZero():
		return "Lasts until it resets at this pace", ""
	case q.ExhaustedAt.Sub(now) < 24*time.Hour:
		return "At this pace exhausted at " + ui.DateTime(q.ExhaustedAt, zone), "near"
	}
	return "At this pace exhausted on " + ui.Date(q.ExhaustedAt, zone), "near"
}

// orgFuseCards are the quotas on an organization's first page.
func (s *site) orgFuseCards(v *visit, o app.Org) ([]quotaCard, error) {
	if s.Quotas == nil {
		return nil, nil
	}
	list, err := s.meters(v)
	if err != nil {
		return nil, err
	}
	states, err := s.Quotas.States(v.ctx(), v.actor, o.ID)
	cards, _ := quotaCards(v, o, states, list, nil)
	return cards, err
}

func (s *site) noticeRows(v *visit, org app.OrgID, list []app.Meter, names map[app.KeyID]string) ([]noticeRow, error) {
	page, err := s.Quotas.Notices(v.ctx(), v.actor, org, app.Page{Limit: shownNotices})
	var rows []noticeRow
	for _, n := range page.Items {
		m := meterNamed(list, n.Meter)
		rows = append(rows, noticeRow{Badge: thresholdBadge(n.Threshold), Meter: m.Name, Key: nameOfKey(names, n.Key), At: v.moment(n.At),
			Text: joinSome(" ", quantity(m, n.Used)+" of "+quantity(m, n.Limit), unitsOf(m)) + " a " + periodWords(string(n.Period)), Org: string(n.Org)})
	}
	return rows, err
}

// thresholdBadge colours a step of the ladder as a fuse does.
func thresholdBadge(percent int64) ui.Badge {
	b := ui.Badge{Text: ui.Count(percent) + "\u00a0%", Tone: "warn"}
	if percent >= 100 {
		b.Tone = "bad"
	} else if percent < nearFrom {
		b.Tone = ""
	}
	return b
}

func (s *site) reservationRows(v *visit, o app.Org, list []app.Meter, names map[app.KeyID]string) ([]reservationRow, error) {
	if s.Reservations == nil {
		return nil, nil
	}
	open, err := s.Reservations.Open(v.ctx(), v.actor, o.ID)
	var rows []reservationRow
	for _, r := range open {
		m := meterNamed(list, r.Meter)
		row := reservationRow{ID: r.ID, Meter: m.Name, Key: nameOfKey(names, r.Key), Amount: quantity(m, r.Amount), Used: quantity(m, r.Used), Begun: v.moment(r.CreatedAt), Heard: v.moment(r.HeardAt)}
		if r.HeardAt.IsZero() {
			row.Heard = v.moment(r.CreatedAt)
		}
		row.Ends = "now"
		if left := r.ExpiresAt.Sub(v.now); left > 0 {
			row.Ends = "in " + ui.Span(max(left, time.Second).Truncate(time.Second))
		}
		rows = append(rows, row)
	}
	return rows, err
}

func (s *site) overrideRows(v *visit, o app.Org, list []app.Meter, names map[app.KeyID]string) ([]overrideRow, error) {
	overrides, err := s.Quotas.Overrides(v.ctx(), v.actor, o.ID)
	var rows []overrideRow
	for _, x := range overrides {
		m := meterNamed(list, x.Meter)
		row := overrideRow{Meter: m.Name, Key: nameOfKey(names, x.Key), Limit: joinSome(" ", quantity(m, x.Limit), unitsOf(m)) + " a " + periodWords(string(x.Period)), Mode: quotaMode(m, x.Quota),
			Reason: x.Reason, By: x.UpdatedBy, At: v.moment(x.UpdatedAt), Edit: ui.Quota(o.Slug, "edit", x.Key, x.Meter, x.Period), Remove: ui.Quota(o.Slug, "remove", x.Key, x.Meter, x.Period)}
		if x.Unlimited {
			row.Limit, row.Mode = "No limit a "+periodWords(string(x.Period)), ui.Dash
		}
		rows = append(rows, row)
	}
	return rows, err
}

// quotaNews is what the overview says of quotas: the fullest, and the last
// notices. It is absent while no quota is near its limit and nothing was told.
func (s *site) quotaNews(ctx context.Context, v *visit) (*quotaNews, error) {
	if s.Quotas == nil {
		return nil, nil
	}
	list, err := s.meters(v)
	if err != nil {
		return nil, err
	}
	states, err := s.Quotas.Nearest(ctx, v.actor, nearQuotas)
	if err != nil {
		return nil, err
	}
	news := &quotaNews{}
	for _, q := range states {
		if ui.PercentOf(q.Used, q.Quota.Limit) < nearFrom {
			continue
		}
		card := quotaCardOf(v.now, v.zone, q, list)
		row := nearRow{Fuse: card.Fuse, Meter: joinSome(" ", card.Title, "a", periodWords(string(q.Quota.Period))), Forecast: card.Forecast, Tone: card.Tone}
		if row.Name, row.Slug, row.Href, err = s.nameOf(v, q.Org, "quotas"); err != nil {
			return nil, err
		}
		if q.Key != "" {
			row.Meter += ", one key"
		}
		news.Near = append(news.Near, row)
	}
	slices.SortStableFunc(news.Near, func(x, y nearRow) int { return cmp.Compare(y.Fuse.Percent, x.Fuse.Percent) })
	if news.Notices, err = s.noticeRows(v, "", list, nil); err != nil {
		return nil, err
	}
	news.Notices = news.Notices[:min(len(news.Notices), nearQuotas)]
	for i, n := range news.Notices {
		if news.Notices[i].Name, _, news.Notices[i].Href, err = s.nameOf(v, app.OrgID(n.Org), "quotas"); err != nil {
			return nil, err
		}
	}
	return news, nil
}

// nameOf is how a list shows an organization; one that was deleted has no page.
func (s *site) nameOf(v *visit, id app.OrgID, tab string) (name, slug, href string, err error) {
	o, err := s.Orgs.Find(v.ctx(), v.actor, string(id))
	if app.IsKind(err, app.KindNotFound) {
		return string(id), "deleted", "", nil
	}
	return o.Name, o.Slug, ui.Org(o.Slug, tab), err
}
