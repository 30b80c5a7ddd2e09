package quota

import (
	"context"
	"slices"
	"time"

	"gatehouse/app"
)

const (
	idleAfter  = time.Second            // what is not used for so long is given back
	idleEvery  = 250 * time.Millisecond // how often that is looked at
	endedAfter = 24 * time.Hour         // after a period nothing draws on what was lent in it
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

// GiveBackIdle gives back what was not used for a second.
func (e *Engine) GiveBackIdle(ctx context.Context) error {
	now := e.o.Now()
	return e.giveBack(ctx, func(b *balance) bool { return b.recalled || now.Sub(b.touched) >= idleAfter })
}

func (e *Engine) giveBack(ctx context.Context, idle func(*balance) bool) error {
	for _, o := range e.all() {
		select {
		case o.slow <- struct{}{}:
		default: // somebody borrows: it is not idle
			continue
		}
		err := e.giveBackOf(ctx, o, idle)
		<-o.slow
		if err != nil {
			return err
		}
	}
	return nil
}

// giveBackOf gives back what is idle of one organization; the caller holds
// o.slow.
func (e *Engine) giveBackOf(ctx context.Context, o *org, idle func(*balance) bool) error {
	if err := e.ascertain(ctx, o); err != nil {
		return err
	}
	o.mu.Lock()
	list, balances := o.spare(idle, e.o.Now())
	o.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	done, err := e.o.Store.GiveBack(ctx, e.o.Replica(), list)
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, b := range balances {
		if err != nil || done[i].Stale {
			b.unsure = true
			continue
		}
		rest := list[i].Amount - done[i].Amount // is not outstanding until the ledger's next blocks are applied
		b.free, b.lent, b.turn = b.free+rest, b.lent+rest, done[i].Turn
	}
	return err
}

// spare takes what is idle out of the balances, and forgets balances of
// periods long past.
func (o *org) spare(idle func(*balance) bool, now time.Time) (list []app.QuotaReturn, balances []*balance) {
	for k, b := range o.balances {
		if b.End != 0 && now.UnixMilli()-b.End > endedAfter.Milliseconds() {
			delete(o.balances, k)
			continue
		}
		if b.free <= 0 || b.unsure || !idle(b) {
			continue
		}
		balances = append(balances, b)
	}
	slices.SortFunc(balances, func(a, b *balance) int { return a.Account.Compare(&b.Account) })
	for _, b := range balances {
		list = append(list, app.QuotaReturn{Account: &b.Account, Amount: b.free, Turn: b.turn})
		b.lent -= b.free
		b.free, b.recalled = 0, false
	}
	return list, balances
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
