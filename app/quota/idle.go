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
	// forgetAfter is how long after its period, and after it was used last, a
	// balance stays in memory: what still runs or comes late finds it.
	forgetAfter = 5 * time.Minute
	sweepEach   = time.Minute // how often one organization's balances are looked through for such
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
		if !o.busy(e.o.Now()) {
			continue
		}
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
	return e.handBack(ctx, all)
}

// handBack gives the list to the database; the caller holds slow of all
// organizations that it is of.
func (e *Engine) handBack(ctx context.Context, all []spared) error {
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
// next blocks are applied comes back, of a recalled balance not to be used.
func (s spared) delivered(done app.QuotaReturned) {
	s.org.mu.Lock()
	defer s.org.mu.Unlock()
	s.org.enlist(s.balance)
	if done.Stale {
		s.balance.unsure = true
		return
	}
	rest := s.amount - done.Amount
	if s.balance.recalled {
		s.balance.surplus += rest
	} else {
		s.balance.free += rest
	}
	s.balance.lent, s.balance.turn = s.balance.lent+rest, done.Turn
}

// busy reports whether the organization has anything to give back, to ask for,
// or to forget.
func (o *org) busy(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.live) > 0 || now.Sub(o.swept) >= sweepEach
}

// spare takes what is idle out of the balances, and now and then forgets those
// of periods that are past.
func (o *org) spare(idle func(*balance) bool, now time.Time) (list []spared) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(now)
	kept := o.live[:0]
	for _, b := range o.live {
		b.free, b.surplus = b.free+b.surplus, 0
		if b.live = !b.gone && (b.unsure || b.free > 0); !b.live {
			continue
		}
		if kept = append(kept, b); b.unsure || !idle(b) {
			continue
		}
		list = append(list, spared{balance: b, org: o, amount: b.free, turn: b.turn})
		b.lent -= b.free
		b.free = 0
	}
	clear(o.live[len(kept):])
	o.live = kept
	return list
}

// forget drops balances of periods that ended a while ago and that hold
// nothing, and whatever ended so long ago that its leases are dropped; the
// caller holds o.mu.
func (o *org) forget(now time.Time) {
	if now.Sub(o.swept) < sweepEach {
		return
	}
	o.swept = now
	for k, b := range o.balances {
		ended := time.Duration(now.UnixMilli()-b.End) * time.Millisecond
		if b.End == 0 || ended < endedAfter && (b.live || ended < forgetAfter || now.Sub(b.touched) < forgetAfter) {
			continue
		}
		b.gone, o.forgot = true, max(o.forgot, b.End)
		delete(o.balances, k)
	}
}

// ascertain asks what was lent of those accounts whose last answer was lost.
func (e *Engine) ascertain(ctx context.Context, o *org) error {
	var (
		claims   []app.QuotaClaim
		balances []*balance
	)
	o.mu.Lock()
	for _, b := range o.live {
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
			o.enlist(b)
			continue
		}
		o.borrowed(b, loans[i], claims[i].Ceiling, now)
	}
	return err
}
