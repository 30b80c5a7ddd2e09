package quota

import (
	"slices"
	"time"

	"gatehouse/app"
)

// Book is the quotas of one organization and of its keys as they stand: its
// plan's, and what overrides put in their place or beside them. It does not
// change; another state of the organization has another.
type Book struct {
	engine *Engine
	org    *org
	number int64 // grows: of two books of an organization, the larger is newer
	id     app.OrgID
	anchor time.Time
	zone   *time.Location
	own    []app.Quota               // the organization's
	keys   map[app.KeyID][]app.Quota // of single keys, beside
}

// Book compiles the quotas of an organization on a plan.
func (e *Engine) Book(o app.Org, plan app.Plan, overrides []app.QuotaOverride) *Book {
	zone, err := plan.Zone()
	if err != nil { // checked when the plan was written; this machine lacks the zone
		zone = time.UTC
		e.o.Log.Warn("time zone of a plan is not known", "plan", plan.Slug, "zone", plan.TimeZone)
	}
	b := &Book{engine: e, org: e.org(o.ID), number: e.books.Add(1), id: o.ID, anchor: o.CreatedAt, zone: zone,
		own: slices.Clone(plan.Quotas), keys: map[app.KeyID][]app.Quota{}}
	for _, override := range overrides {
		if override.Key == "" {
			b.own = replaced(b.own, override)
		} else { // an unlimited one takes nothing of a key: the plan grants keys nothing
			b.keys[override.Key] = replaced(b.keys[override.Key], override)
		}
	}
	b.org.recall(b)
	return b
}

// recall has what was lent given back where the limit is lower now: nothing of
// it is taken any more.
func (o *org) recall(b *Book) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, lent := range o.balances {
		if q, ok := b.Quota(lent.Account); ok && q.Hard() && q.Ceiling() < lent.ceiling {
			lent.recalled = true
		}
	}
}

func replaced(list []app.Quota, o app.QuotaOverride) []app.Quota {
	list = slices.DeleteFunc(list, o.Quota.Same)
	if o.Unlimited {
		return list
	}
	return append(list, o.Quota)
}

// Quota finds the quota that the account is held against. A nil book has none.
func (b *Book) Quota(a app.Account) (q app.Quota, ok bool) {
	if b == nil {
		return q, false
	}
	list := b.own
	if a.Key != "" {
		list = b.keys[a.Key]
	}
	i := slices.IndexFunc(list, func(q app.Quota) bool { return q.Meter == a.Meter && q.Period == a.Period })
	if i < 0 {
		return q, false
	}
	return list[i], true
}

// slot is one quota as it concerns a line. Its balance is that of the period
// which the last request fell in.
type slot struct {
	quota   app.Quota
	ceiling int64
	key     app.KeyID // empty: the organization's
	book    *Book
	start   int64 // Unix milliseconds; the bounds of current
	end     int64
	current *balance
}

// hard reports whether the slot can refuse.
func (s *slot) hard() bool { return s.ceiling != app.NoCeiling }

// at is the balance of the period that holds the time; the caller holds the
// organization's lock.
func (s *slot) at(ms int64) *balance {
	if s.current == nil || s.current.gone || ms < s.start || ms >= s.end && s.end != 0 {
		account := s.account(ms)
		s.start, s.end, s.current = account.Start, account.End, s.book.org.balance(account)
	}
	return s.current
}

func (s *slot) account(ms int64) app.Account {
	a := app.Account{Org: s.book.id, Key: s.key, Meter: s.quota.Meter, Period: s.quota.Period}
	start, end := s.quota.Period.Bounds(time.UnixMilli(ms), s.book.zone, s.book.anchor)
	if !end.IsZero() {
		a.Start, a.End = start.UnixMilli(), end.UnixMilli()
	}
	return a
}

// Line is the quotas that a key's requests of some meters are held against.
type Line struct {
	book  *Book
	slots []slot // organization first
}

// Line finds the quotas of the meters, of the organization and of the key
// (which may be empty). It is nil when there is none: then there is nothing to
// reserve. Make it once, and use it for many requests.
func (b *Book) Line(key app.KeyID, meters ...string) *Line {
	if b == nil {
		return nil
	}
	line := &Line{book: b}
	line.add("", b.own, meters)
	if key != "" {
		line.add(key, b.keys[key], meters)
	}
	if len(line.slots) == 0 {
		return nil
	}
	return line
}

func (l *Line) add(key app.KeyID, quotas []app.Quota, meters []string) {
	for _, q := range quotas {
		if !slices.Contains(meters, q.Meter) {
			continue
		}
		ceiling := int64(app.NoCeiling)
		if q.Hard() {
			ceiling = q.Ceiling()
		}
		l.slots = append(l.slots, slot{quota: q, ceiling: ceiling, key: key, book: l.book})
	}
}
