package quota

import (
	"context"
	"slices"
	"time"

	"gatehouse/app"
)

const (
	// remembered is how long an answer that too little is left holds without
	// asking again: what other replicas give back is seen by then.
	remembered = 250 * time.Millisecond
	// sharing is N in clamp(needed, left/(4N)): each of N replicas could ask
	// four times before one of them takes the rest.
	sharing = 4
	// attempts bounds how often a request asks while others take what it was lent.
	attempts = 20
)

// asking is a request that waits for the database.
type asking struct {
	line  *Line
	ms    int64
	needs []Need
	err   error         // set before done is closed
	done  chan struct{} // closed when the database was asked for it
}

// ask reserves after asking the database, together with all who want the same
// organization's at the same time.
func (l *Line) ask(ctx context.Context, now time.Time, h *Hold, given []Need) error {
	o, ms := l.book.org, now.UnixMilli()
	needs := copied(given)
	for range attempts {
		o.mu.Lock()
		if l.covered(ms, needs) {
			l.take(ms, now, h, needs)
			o.mu.Unlock()
			return nil
		}
		if err := l.refused(ms, needs); err != nil {
			o.mu.Unlock()
			return err
		}
		mine := &asking{line: l, ms: ms, needs: needs, done: make(chan struct{})}
		o.waiting = append(o.waiting, mine)
		o.mu.Unlock()
		if err := l.book.engine.await(ctx, o, mine); err != nil {
			return l.withoutAnswer(ms, now, h, needs, err)
		}
	}
	return unavailable(nil)
}

// withoutAnswer lets a request pass whose quotas are all soft: what it takes is
// counted all the same.
func (l *Line) withoutAnswer(ms int64, now time.Time, h *Hold, needs []Need, err error) error {
	if l.hard() {
		return err
	}
	l.book.org.mu.Lock()
	defer l.book.org.mu.Unlock()
	l.take(ms, now, h, needs)
	return nil
}

// copied keeps the caller's list on its stack, which slices.Clone does not.
func copied(needs []Need) []Need {
	list := make([]Need, len(needs))
	copy(list, needs)
	return list
}

// refused is the refusal by what the database told a moment ago; nil when it
// has to be asked. The caller holds the organization's lock.
func (l *Line) refused(ms int64, needs []Need) error {
	now := l.book.engine.o.Now()
	for i := range l.slots {
		s := &l.slots[i]
		b := s.at(ms)
		if !s.hard() || !b.opened || now.Sub(b.asked) >= remembered {
			continue
		}
		wanted := needed(needs, s.quota.Meter).Amount
		left := b.left + s.ceiling - b.ceiling // the limit may have changed
		if !b.recalled {
			left = max(0, left)
		}
		if max(1, wanted) > b.free+left {
			return s.exhausted(b, wanted, now)
		}
	}
	return nil
}

// await waits until the database was asked for mine, by this goroutine or by
// another.
func (e *Engine) await(ctx context.Context, o *org, mine *asking) error {
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return unavailable(ctx.Err())
	case o.slow <- struct{}{}:
	}
	defer func() { <-o.slow }()
	o.mu.Lock()
	batch := o.waiting
	o.waiting = nil
	o.mu.Unlock()
	if len(batch) > 0 {
		err := e.borrow(ctx, o, batch)
		for _, a := range batch {
			a.err = err
			close(a.done)
		}
	}
	<-mine.done // by this batch, or by one that ended before
	return mine.err
}

// borrow asks the database for what the batch lacks, in one transaction. It
// does not end with the one request that happens to lead the batch.
func (e *Engine) borrow(ctx context.Context, o *org, batch []*asking) error {
	ctx = context.WithoutCancel(ctx)
	if err := e.surrender(ctx, o); err != nil {
		return unavailable(err)
	}
	o.mu.Lock()
	claims, lacking := e.claims(batch)
	o.mu.Unlock()
	if len(claims) == 0 {
		return nil
	}
	if err := e.lend(ctx, o, claims, lacking); err != nil {
		return unavailable(err)
	}
	return nil
}

// surrender gives back what is recalled; the caller holds o.slow. So what other
// servers or a lower limit leave is known before anything is borrowed.
func (e *Engine) surrender(ctx context.Context, o *org) error {
	recalled := func(b *balance) bool { return b.recalled }
	o.mu.Lock()
	any := slices.ContainsFunc(o.live, recalled)
	o.mu.Unlock()
	if !any {
		return nil
	}
	if err := e.ascertain(ctx, o); err != nil {
		return err
	}
	return e.handBack(ctx, o.spare(recalled, e.o.Now()))
}

// borrowed takes in what the database says. What it lent in all tells also
// what became of a loan whose answer was lost. A balance that was forgotten
// (see forget) and comes back has nothing in hand: what it was ever lent is
// spent, or goes with DropEndedLeases.
func (o *org) borrowed(b *balance, loan app.QuotaLoan, ceiling int64, now time.Time) {
	if !b.opened && b.returns {
		b.lent = loan.Lent - loan.Granted + loan.Debt
	}
	b.free += loan.Lent - b.lent
	b.lent, b.turn, b.opened, b.unsure = loan.Lent, loan.Turn, true, false
	b.left, b.ceiling, b.asked, b.touched = loan.Left, ceiling, now, now
	if b.recalled = loan.Left < 0; !b.recalled {
		b.free, b.surplus = b.free+b.surplus, 0
	}
	b.state = loan.State
	if b.free > 0 {
		o.enlist(b)
	}
}

// claims adds up what the batch lacks, by account. The caller holds the
// organization's lock.
func (e *Engine) claims(batch []*asking) (claims []app.QuotaClaim, balances []*balance) {
	type sum struct {
		claim app.QuotaClaim
		book  int64 // whose ceiling it is
		all   int64
	}
	sums := map[*balance]*sum{}
	for _, a := range batch {
		for i := range a.line.slots {
			s := &a.line.slots[i]
			b := s.at(a.ms)
			total := sums[b]
			if total == nil {
				total = &sum{claim: app.QuotaClaim{Account: &b.Account}}
				sums[b] = total
			}
			if s.book.number > total.book {
				total.book, total.claim.Ceiling = s.book.number, s.ceiling
			}
			if !s.hard() {
				continue
			}
			n := max(1, needed(a.needs, s.quota.Meter).Amount)
			total.all += n
			if total.claim.Need == 0 || n < total.claim.Need {
				total.claim.Need = n
			}
		}
	}
	for b, total := range sums {
		c := total.claim
		free := b.free
		if b.recalled {
			free = min(0, free)
		}
		c.Need, c.Want = max(0, c.Need-free), max(0, total.all-free)
		c.Share = int64(sharing * max(1, e.o.Replicas()))
		if b.opened && c.Need == 0 && c.Want == 0 {
			continue
		}
		c.Need = max(c.Need, min(c.Want, 1))
		claims, balances = append(claims, c), append(balances, b)
	}
	return claims, balances
}

// sorted puts claims into the order of their accounts, balances beside.
func sorted(claims []app.QuotaClaim, balances []*balance) ([]app.QuotaClaim, []*balance) {
	order := make([]int, len(claims))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return claims[i].Account.Compare(claims[j].Account) })
	c, b := make([]app.QuotaClaim, len(order)), make([]*balance, len(order))
	for to, from := range order {
		c[to], b[to] = claims[from], balances[from]
	}
	return c, b
}

// grant asks for the claims, and looks up the openings of new accounts.
func (e *Engine) grant(ctx context.Context, claims []app.QuotaClaim) ([]app.QuotaLoan, error) {
	for {
		loans, err := e.o.Store.Grant(ctx, e.o.Replica(), claims)
		if err != nil {
			return nil, err
		}
		missing := false
		for i, loan := range loans {
			if !loan.Missing {
				continue
			}
			missing = true
			opening, err := e.opening(ctx, *claims[i].Account)
			if err != nil {
				return nil, err
			}
			claims[i].Opening = &opening
		}
		if !missing {
			return loans, nil
		}
	}
}

// openingTimeout bounds the look at what was used before: requests wait for it.
const openingTimeout = 5 * time.Second

func (e *Engine) opening(ctx context.Context, a app.Account) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, openingTimeout)
	defer cancel()
	return e.o.Opening(ctx, a)
}
