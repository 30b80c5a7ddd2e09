package quota

import (
	"context"
	"errors"
	"slices"
	"time"

	"gatehouse/app"
)

const (
	idleAfter = time.Second // what is not used for so long is given back
	// aloneIdleAfter is the same where nobody else would use it: a reservation
	// on this node takes it back when it needs it.
	aloneIdleAfter = time.Minute
	giveBackAtOnce = 50                     // organizations in one transaction
	idleEvery      = 250 * time.Millisecond // how often that is looked at
	endedAfter     = 24 * time.Hour         // after a period nothing draws on what was lent in it
)

// Run gives back what is idle and climbs the ladder, until the context ends.
func (e *Engine) Run(ctx context.Context) {
	idle, second, hour := time.NewTicker(idleEvery), time.NewTicker(time.Second), time.NewTicker(time.Hour)
	defer idle.Stop()
	defer second.Stop()
	defer hour.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-idle.C:
			err = e.GiveBackIdle(ctx)
		case <-second.C:
			err = e.Climb(ctx)
		case <-hour.C:
			err = e.o.Store.DropEndedLeases(ctx, e.o.Now().Add(-endedAfter))
		}
		if err != nil && ctx.Err() == nil {
			e.o.Log.Warn("quotas were not looked after", "err", err)
		}
	}
}

// Close gives back everything that nobody uses. Nothing may be reserved after.
func (e *Engine) Close(ctx context.Context) error {
	return e.giveBack(ctx, func(*balance) bool { return true })
}

// GiveBackIdle gives back what was not used for a second, or where there are
// no other replicas for a minute.
func (e *Engine) GiveBackIdle(ctx context.Context) error {
	now, patience := e.o.Now(), idleAfter
	if e.o.Replicas() <= 1 {
		patience = aloneIdleAfter
	}
	return e.giveBack(ctx, func(b *balance) bool { return b.recalled || now.Sub(b.touched) >= patience })
}

// giveBack gives back what is idle, of many organizations in one transaction.
func (e *Engine) giveBack(ctx context.Context, idle func(*balance) bool) error {
	var batch []parcel
	for _, o := range e.all() {
		select {
		case o.slow <- struct{}{}:
		default: // somebody borrows: it is not idle
			continue
		}
		if err := e.ascertain(ctx, o); err != nil {
			<-o.slow
			return errors.Join(err, e.deliver(ctx, batch))
		}
		p := parcel{org: o, balances: o.spare(idle, e.o.Now())}
		if len(p.balances) == 0 {
			<-o.slow
			continue
		}
		if batch = append(batch, p); len(batch) == giveBackAtOnce {
			if err := e.deliver(ctx, batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	return e.deliver(ctx, batch)
}

// parcel is what one organization's balances give back. Whoever made it holds
// the organization's slow until it is delivered.
type parcel struct {
	org      *org
	balances []spared
}

// spared is an amount that was taken out of a balance.
type spared struct {
	*balance
	org    *org
	amount int64
	turn   int64
}

// deliver gives the parcels to the database, and frees their organizations.
func (e *Engine) deliver(ctx context.Context, batch []parcel) error {
	var all []spared
	for _, p := range batch {
		defer func() { <-p.org.slow }()
		all = append(all, p.balances...)
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b spared) int { return a.Account.Compare(&b.Account) })
	list := make([]app.QuotaReturn, len(all))
	for i, s := range all {
		list[i] = app.QuotaReturn{Account: &s.Account, Amount: s.amount, Turn: s.turn}
	}
	done, err := e.o.Store.GiveBack(ctx, e.o.Replica(), list)
	for i, s := range all {
		if err != nil {
			s.delivered(app.QuotaReturned{Stale: true})
		} else {
			s.delivered(done[i])
		}
	}
	return err
}

// delivered takes in the answer. What is not outstanding until the ledger's
// next blocks are applied comes back.
func (s spared) delivered(done app.QuotaReturned) {
	s.org.mu.Lock()
	defer s.org.mu.Unlock()
	if done.Stale {
		s.balance.unsure = true
		return
	}
	rest := s.amount - done.Amount
	s.balance.free, s.balance.lent, s.balance.turn = s.balance.free+rest, s.balance.lent+rest, done.Turn
}

// forgettable reports whether the balance's period is long past.
func (b *balance) forgettable(now time.Time) bool {
	return b.End != 0 && now.UnixMilli()-b.End > endedAfter.Milliseconds()
}

// spare takes what is idle out of the balances, and forgets balances of
// periods long past.
func (o *org) spare(idle func(*balance) bool, now time.Time) (list []spared) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, b := range o.balances {
		if b.forgettable(now) {
			delete(o.balances, k)
			continue
		}
		if b.free <= 0 || b.unsure || !idle(b) {
			continue
		}
		list = append(list, spared{balance: b, org: o, amount: b.free, turn: b.turn})
		b.lent -= b.free
		b.free, b.recalled = 0, false
	}
	return list
}

// ascertain asks what was lent of those accounts whose last answer was lost.
func (e *Engine) ascertain(ctx context.Context, o *org) error {
	var (
		claims   []app.QuotaClaim
		balances []*balance
	)
	o.mu.Lock()
	for _, b := range o.balances {
		if b.unsure {
			claims, balances = append(claims, app.QuotaClaim{Account: &b.Account, Ceiling: b.ceiling}), append(balances, b)
		}
	}
	o.mu.Unlock()
	if len(claims) == 0 {
		return nil
	}
	return e.lend(ctx, o, claims, balances)
}

// lend takes in what the database answers to claims, whose balances stand
// beside; the caller holds o.slow.
func (e *Engine) lend(ctx context.Context, o *org, claims []app.QuotaClaim, balances []*balance) error {
	claims, balances = sorted(claims, balances)
	loans, err := e.grant(ctx, claims)
	now := e.o.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, b := range balances {
		if err != nil {
			b.unsure = true // it may have been lent all the same
			continue
		}
		b.borrowed(loans[i], claims[i].Ceiling, now)
	}
	return err
}
