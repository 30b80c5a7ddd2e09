package quota

import (
	"fmt"
	"time"

	"gatehouse/app"
)

// unavailable answers a hard quota that nobody can ask for now.
func unavailable(err error) error {
	return &app.Error{Kind: app.KindUnavailable, Code: "quota_unavailable",
		Message: "Whether the quota covers this cannot be told now, so it is not let through.",
		Advice:  "Try again in a moment.", RetryAfter: time.Second, Err: err}
}

// soon is how long before a period's end a refusal says when to come again.
const soon = time.Hour

// exhausted answers a request that a slot does not cover; the caller holds the
// organization's lock.
func (s *slot) exhausted(b *balance, wanted int64, now time.Time) error {
	q := s.quota
	detail := &app.QuotaDetail{Meter: q.Meter, Scope: "organization", Period: q.Period, Limit: q.Limit,
		Used: b.state.Used(), Reserved: b.state.Reserved(), Wanted: wanted, UpgradeAt: s.book.engine.o.UpgradeURL}
	if s.key != "" {
		detail.Scope = "key"
	}
	e := &app.Error{Kind: app.KindPayment, Code: "quota_exhausted", Quota: detail}
	noun := "quota"
	if q.Meter == app.MeterCost {
		e.Code, noun = "budget_exhausted", "budget"
	}
	e.Message = fmt.Sprintf("The %s's %s of %s %s %s.", detail.Scope, noun, amount(q.Meter, q.Limit), perPeriod(q.Period), s.lack(detail))
	e.Advice = advice(detail.UpgradeAt, b.End)
	if b.End != 0 {
		detail.ResetsAt = time.UnixMilli(b.End).UTC()
		if wait := detail.ResetsAt.Sub(now); wait > 0 && wait <= soon {
			e.RetryAfter = max(time.Second, wait)
		}
	}
	return e
}

// lack says what is wrong: nothing is left, or less than what is wanted.
func (s *slot) lack(d *app.QuotaDetail) string {
	left := s.ceiling - d.Used - d.Reserved
	if left <= 0 || d.Wanted <= left {
		return "is exhausted"
	}
	return fmt.Sprintf("does not cover this, which may take %s: %s is left", amount(d.Meter, d.Wanted), amount(d.Meter, left))
}

func amount(meter string, n int64) string {
	if meter == app.MeterCost {
		return "$" + app.Money(n).String()
	}
	return fmt.Sprintf("%d %s", n, meter)
}

func perPeriod(p app.QuotaPeriod) string {
	switch p {
	case app.PeriodBilling:
		return "a billing period"
	case app.PeriodLifetime:
		return "in all"
	case app.PeriodHour:
		return "an hour"
	}
	return "a " + string(p)
}

func advice(upgrade string, end int64) string {
	more := "ask the operator for more"
	if upgrade != "" {
		more = "get more at " + upgrade
	}
	if end == 0 {
		return "Reserve less, or " + more + "."
	}
	return "Take less, wait for the next period at " + time.UnixMilli(end).UTC().Format(time.RFC3339) + ", or " + more + "."
}
