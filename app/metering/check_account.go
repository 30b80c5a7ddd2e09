package metering

import (
	"cmp"
	"slices"
	"time"

	"gatehouse/app"
)

// usedBy names usage that accounts are held against; Key empty: of all keys.
type usedBy struct {
	org   app.OrgID
	key   app.KeyID
	meter string
}

// accountBook is what blocks drew on accounts.
type accountBook struct {
	groups map[accountGroup]*groupSums
	used   map[usedBy][]*groupSums
	orgs   map[app.OrgID]bool // that have groups
}

// accountGroup is the accounts of one quota, of all its periods.
type accountGroup struct {
	usedBy
	period app.QuotaPeriod
}

type groupSums struct {
	accountGroup
	list []accountSums // by start and end
	// upto is app.AccountsPruned.Upto: accounts that ended by then are not
	// compared one by one, but their sum.
	upto, spent, held int64
	inTable           struct{ spent, held, pruned int64 } // the same, as the tables say
}

// accountSums is 48 bytes, for each account that is not pruned.
type accountSums struct {
	start, end  int64
	spent, held int64
	used        int64 // in its period; of a duration in microseconds
	reading     int64 // the last one that found it in the table
}

func newAccountBook() *accountBook {
	return &accountBook{groups: map[accountGroup]*groupSums{}, used: map[usedBy][]*groupSums{}, orgs: map[app.OrgID]bool{}}
}

func (b *accountBook) group(org app.OrgID, key app.KeyID, meter string, period app.QuotaPeriod) *groupSums {
	name := accountGroup{usedBy{org, key, meter}, period}
	g := b.groups[name]
	if g == nil {
		g = &groupSums{accountGroup: name}
		b.groups[name] = g
		if period != app.PeriodMinute { // shorter than a bucket: usage of one is not known
			b.used[name.usedBy] = append(b.used[name.usedBy], g)
			b.orgs[org] = true
		}
	}
	return g
}

// account finds or makes the sums of an account; nil: it may be pruned.
func (b *accountBook) account(a *app.Account) (*groupSums, *accountSums) {
	g := b.group(a.Org, a.Key, a.Meter, a.Period)
	if g.pruned(a.End) {
		return g, nil
	}
	i, found := slices.BinarySearchFunc(g.list, a, func(s accountSums, a *app.Account) int {
		return cmp.Or(cmp.Compare(s.start, a.Start), cmp.Compare(s.end, a.End))
	})
	if !found {
		g.list = slices.Insert(g.list, i, accountSums{start: a.Start, end: a.End})
	}
	return g, &g.list[i]
}

func (g *groupSums) pruned(end int64) bool { return end != 0 && end <= g.upto }

// prune moves accounts that may be pruned into the group's sum.
func (b *accountBook) prune(p app.AccountsPruned) {
	g := b.group(p.Org, p.Key, p.Meter, p.Period)
	g.upto, g.inTable.pruned = max(g.upto, p.Upto), p.Spent
	g.list = slices.DeleteFunc(g.list, func(a accountSums) bool {
		if !g.pruned(a.end) {
			return false
		}
		g.spent, g.held = plus(g.spent, a.spent), plus(g.held, a.held)
		return true
	})
}

// fold adds what blocks drew, and then what they used.
func (b *accountBook) fold(s *sums) {
	for _, d := range s.draws {
		if g, a := b.account(d.Account); a == nil {
			g.spent, g.held = plus(g.spent, d.Spent), plus(g.held, d.Held)
		} else {
			a.spent, a.held = plus(a.spent, d.Spent), plus(a.held, d.Held)
		}
	}
	for k, c := range s.cells {
		if b.orgs[k.Org] {
			b.use(k.Org, k.Key, app.MeterRequests, k.start, c.Weight)
			b.use(k.Org, k.Key, app.MeterBytes, k.start, c.BytesIn+c.BytesOut)
			b.use(k.Org, k.Key, app.MeterDuration, k.start, c.Duration.Microseconds())
		}
	}
	for k, m := range s.meters {
		if !b.orgs[k.Org] {
			continue
		}
		sum := m.Sum
		if k.Meter == app.MeterDuration { // uses are milliseconds
			sum *= 1000
		}
		b.use(k.Org, k.Key, k.Meter, k.start, sum)
	}
}

func (b *accountBook) use(org app.OrgID, key app.KeyID, meter string, start, amount int64) {
	if amount == 0 {
		return
	}
	for _, g := range b.used[usedBy{org, "", meter}] {
		g.use(start, amount)
	}
	if key == "" {
		return
	}
	for _, g := range b.used[usedBy{org, key, meter}] {
		g.use(start, amount)
	}
}

// use adds to the accounts whose period holds the time.
func (g *groupSums) use(at, amount int64) {
	i, _ := slices.BinarySearchFunc(g.list, at+1, func(s accountSums, at int64) int { return cmp.Compare(s.start, at) })
	for i--; i >= 0 && (g.list[i].end == 0 || at-g.list[i].start <= g.longest()); i-- {
		if a := &g.list[i]; at < a.end || a.end == 0 {
			a.used = plus(a.used, amount)
		}
	}
}

// longest is the longest that a period of the group takes, in milliseconds.
func (g *groupSums) longest() int64 {
	switch g.period {
	case app.PeriodHour:
		return time.Hour.Milliseconds()
	case app.PeriodDay:
		return 32 * time.Hour.Milliseconds() // clocks are moved
	}
	return 33 * 24 * time.Hour.Milliseconds()
}
