package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/a-h/templ"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// shownNotices bounds the notices of a page, newsNotices those of the overview.
const (
	shownNotices = 20
	newsNotices  = 6
)

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
	view := orgQuotasView{Page: s.page(v, "Quotas of "+o.Name, "orgs", "org."+string(o.ID)), Head: s.orgHead(v, o, "quotas"), Slug: o.Slug}
	names, err := s.keyNames(v, o)
	if err != nil {
		return err
	}
	if view.Cards, view.Keys, err = s.quotaCards(v, o, list, names); err != nil {
		return err
	}
	if view.Overrides, err = s.overrideRows(v, o, list, names); err != nil {
		return err
	}
	if view.Notices, err = s.noticeRows(v, o.Slug, list, names); err != nil {
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
func (s *site) quotaCards(v *visit, o app.Org, list []app.Meter, names map[app.KeyID]string) (cards, keys []quotaCard, err error) {
	states, err := s.Quotas.Quotas(v.ctx(), v.actor, o.Slug)
	if err != nil {
		return nil, nil, err
	}
	overrides, err := s.Quotas.Find(v.ctx(), v.actor, o.Slug)
	if err != nil {
		return nil, nil, err
	}
	zone := s.planZone(v.ctx(), v, o)
	for _, q := range states {
		card := quotaCardOf(s.Now(), zone, q, list)
		card.ID, card.Usage = quotaAnchor(q.Key, q.Meter, q.Period), s.quotaUsage(o, zone, q)
		card.Edit = ui.Quota(o.Slug, "edit", q.Key, q.Meter, q.Period)
		card.Override = slices.ContainsFunc(overrides, quotaKey{q.Key, q.Meter, q.Period}.of)
		if q.Key == "" {
			cards = append(cards, card)
			continue
		}
		card.Key = nameOfKey(names, q.Key)
		keys = append(keys, card)
	}
	return cards, keys, nil
}

// quotaAnchor names a quota within its page, for links that lead to it.
func quotaAnchor(key app.KeyID, meter string, period app.QuotaPeriod) string {
	return "quota-" + joinSome("-", string(key), meter, string(period))
}

// quotaUsage leads to the usage that the quota counts, in the zone in which
// its period begins.
func (s *site) quotaUsage(o app.Org, zone *time.Location, q app.QuotaState) string {
	if s.MeterUsage == nil {
		return ""
	}
	period := map[app.QuotaPeriod]string{app.PeriodMinute: "24h", app.PeriodHour: "24h", app.PeriodDay: "24h", app.PeriodBilling: "90d", app.PeriodLifetime: "year"}[q.Period]
	where := ""
	if q.Key != "" {
		where = "key:" + string(q.Key)
	}
	return ui.With(ui.Org(o.Slug, "usage"), "meter", q.Meter, "period", period, "tz", zone.String(), "where", where)
}

// planZone is the zone in which months and days of the organization's quotas
// begin; UTC when its plan cannot be read.
func (s *site) planZone(ctx context.Context, v *visit, o app.Org) *time.Location {
	plan, err := s.Plans.Plan(ctx, v.actor, o.Plan)
	if err != nil {
		return time.UTC
	}
	zone, err := plan.Zone()
	if err != nil {
		return time.UTC
	}
	return zone
}

// quotaCardOf says in words how full a quota is, until when, and how it goes on.
func quotaCardOf(now time.Time, zone *time.Location, q app.QuotaState, list []app.Meter) quotaCard {
	m := meterNamed(list, q.Meter)
	card := quotaCard{Title: m.Name, Ends: quotaEnds(now, zone, q), Mode: quotaMode(m, q.Quota)}
	card.Fuse = ui.Fuse{Title: m.Name, Used: quantity(m, q.Used), Of: joinSome(" ", "of "+quantity(m, q.Limit), unitsOf(m)),
		Percent: ui.PercentOf(q.Used, q.Limit), Some: q.Used > 0, Held: ui.PercentOf(q.Reserved, q.Limit)}
	if q.Reserved > 0 {
		card.Reserved = quantity(m, q.Reserved) + " more reserved by what runs"
	}
	card.Forecast, card.Tone = quotaForecast(now, zone, q)
	return card
}

// quotaEnds says which period it is and when it ends, in the zone of its plan.
func quotaEnds(now time.Time, zone *time.Location, q app.QuotaState) string {
	start := q.Start.In(zone)
	var name string
	switch q.Period {
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
func quotaForecast(now time.Time, zone *time.Location, q app.QuotaState) (text, tone string) {
	switch {
	case q.Limit > 0 && q.Used >= q.Limit || q.Limit == 0:
		return "The limit is reached", "down"
	case q.Used == 0:
		return "Nothing used yet", ""
	case q.ExhaustedAt.IsZero() && q.ResetsAt.IsZero():
		return "No end in sight at this pace", ""
	case q.ExhaustedAt.IsZero():
		return "Lasts to the reset at this pace", ""
	case q.ExhaustedAt.Sub(now) < 24*time.Hour:
		return "At this pace exhausted on " + q.ExhaustedAt.In(zone).Format("2 Jan, 15:04"), "near"
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
	cards, _, err := s.quotaCards(v, o, list, nil)
	return cards, err
}

// quotaParts is what the stream renews of an organization's quotas.
func (s *site) quotaParts(v *visit, o app.Org) (map[string]templ.Component, error) {
	if s.Quotas == nil {
		return nil, nil
	}
	list, err := s.meters(v)
	if err != nil {
		return nil, err
	}
	cards, _, err := s.quotaCards(v, o, list, nil)
	if err != nil {
		return nil, err
	}
	names, err := s.keyNames(v, o)
	if err != nil {
		return nil, err
	}
	rows, err := s.reservationRows(v, o, list, names)
	return map[string]templ.Component{"quotas": quotaFuses(cards), "reservations": reservationTable(rows)}, err
}

func (s *site) noticeRows(v *visit, org string, list []app.Meter, names map[app.KeyID]string) ([]noticeRow, error) {
	page, err := s.Quotas.Notices(v.ctx(), v.actor, org, app.Page{Limit: shownNotices})
	var rows []noticeRow
	for _, n := range page.Items {
		m := meterNamed(list, n.Meter)
		rows = append(rows, noticeRow{Anchor: quotaAnchor(n.Key, n.Meter, n.Period), Badge: thresholdBadge(n.Threshold), Meter: m.Name, Key: nameOfKey(names, n.Key), At: v.moment(n.At),
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
	now := s.Now()
	moment := func(at time.Time) ui.Moment { return ui.Moment{At: at, Now: now, Zone: v.zone} }
	open, err := s.Reservations.List(v.ctx(), v.actor, o.Slug, app.Page{Limit: app.MaxPageLimit, Filter: string(app.ReservationOpen)})
	var rows []reservationRow
	for _, r := range open.Items {
		m := meterNamed(list, r.Meter)
		row := reservationRow{ID: r.ID, Meter: m.Name, Key: nameOfKey(names, r.Key), Amount: quantity(m, r.Amount), Used: quantity(m, r.Used), Begun: moment(r.CreatedAt), Heard: moment(r.HeardAt)}
		if r.HeardAt.IsZero() {
			row.Heard = moment(r.CreatedAt)
		}
		row.Ends = "now"
		if left := r.ExpiresAt.Sub(now); left > 0 {
			row.Ends = "in " + ui.Span(max(left, time.Second).Truncate(time.Second))
		}
		rows = append(rows, row)
	}
	return rows, err
}

func (s *site) overrideRows(v *visit, o app.Org, list []app.Meter, names map[app.KeyID]string) ([]overrideRow, error) {
	overrides, err := s.Quotas.Find(v.ctx(), v.actor, o.Slug)
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

// quotaNews is what the overview says of quotas: the fullest now, and the last
// notices.
func (s *site) quotaNews(ctx context.Context, v *visit) (*quotaNews, error) {
	if s.Quotas == nil {
		return nil, nil
	}
	list, err := s.meters(v)
	if err != nil {
		return nil, err
	}
	news := &quotaNews{All: v.query("near") == "all"}
	if news.Near, err = s.nearView(ctx, v, news.All); err != nil {
		return nil, err
	}
	if news.Notices, err = s.noticeRows(v, "", list, nil); err != nil {
		return nil, err
	}
	news.Notices = news.Notices[:min(len(news.Notices), newsNotices)]
	for i := range news.Notices {
		n := &news.Notices[i]
		o, err := s.Orgs.Find(ctx, v.actor, n.Org)
		switch {
		case app.IsKind(err, app.KindNotFound):
			n.Name = n.Org
		case err != nil:
			return nil, err
		default:
			n.Name, n.Href = o.Name, ui.Org(o.Slug, "quotas")
		}
	}
	return news, nil
}
