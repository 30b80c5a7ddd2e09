package quota

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"gatehouse/app"
)

const (
	ladderPage    = 1000
	ladderOverlap = 10 * time.Second // clocks of replicas differ, and commits come late
	ladderStart   = time.Hour        // how far a new process looks back
	maxTold       = 100_000
)

// ladder remembers what was told; it belongs to the one who climbs.
type ladder struct {
	since   int64 // Unix milliseconds: changes before it were looked at
	told    map[rung]bool
	looked  map[app.Account]time.Time // when those changed that were looked at
	books   map[app.OrgID]*Book       // read during this climb; nil: there is no such organization
	suspend map[app.OrgID]string      // who could not be suspended yet, and why they are
}

type rung struct {
	account   app.Account
	threshold int64
}

// Climb looks at the accounts that changed, and tells each threshold that one
// of them passed, once among all replicas; at SuspendAt per cent of an
// organization's own quota it suspends the organization. One at a time may
// climb.
func (e *Engine) Climb(ctx context.Context) error {
	if e.o.Books == nil {
		return nil
	}
	l := &e.ladder
	if l.since == 0 {
		l.since = e.o.Now().Add(-ladderStart).UnixMilli()
	}
	if l.told == nil || len(l.told)+len(l.looked) > maxTold {
		l.told, l.looked = map[rung]bool{}, map[app.Account]time.Time{}
	}
	l.books = map[app.OrgID]*Book{}
	for from := l.since - ladderOverlap.Milliseconds(); ; {
		list, err := e.o.Store.AccountsUpdated(ctx, from, ladderPage)
		if err != nil {
			return err
		}
		for _, a := range list {
			if err := e.climb(ctx, a); err != nil {
				return err
			}
			l.since = max(l.since, a.UpdatedAt.UnixMilli())
		}
		if len(list) < ladderPage || l.since <= from {
			break
		}
		from = l.since
	}
	return e.suspendPending(ctx)
}

func (e *Engine) climb(ctx context.Context, a app.AccountState) error {
	if e.ladder.looked[a.Account].Equal(a.UpdatedAt) {
		return nil
	}
	book, err := e.bookForLadder(ctx, a.Org)
	if err != nil {
		return err
	}
	q, ok := book.Quota(a.Account)
	if !ok {
		return nil
	}
	for _, percent := range q.Ladder() {
		at := rung{a.Account, percent}
		if e.ladder.told[at] || !reached(a.Used(), q.Limit, percent) {
			continue
		}
		if err := e.tell(ctx, a, q, percent); err != nil {
			return err
		}
		e.ladder.told[at] = true
	}
	e.ladder.looked[a.Account] = a.UpdatedAt
	return nil
}

// bookForLadder reads each organization's quotas once in a climb.
func (e *Engine) bookForLadder(ctx context.Context, org app.OrgID) (*Book, error) {
	if book, ok := e.ladder.books[org]; ok {
		return book, nil
	}
	book, err := e.o.Books(ctx, org)
	if app.IsKind(err, app.KindNotFound) { // deleted
		book, err = nil, nil
	}
	if err == nil {
		e.ladder.books[org] = book
	}
	return book, err
}

// reached reports whether used is so many per cent of the limit.
func reached(used, limit, percent int64) bool {
	if used <= 0 {
		return false
	}
	usedHigh, usedLow := bits.Mul64(uint64(used), 100)
	high, low := bits.Mul64(uint64(limit), uint64(percent))
	return usedHigh > high || usedHigh == high && usedLow >= low
}

func (e *Engine) tell(ctx context.Context, a app.AccountState, q app.Quota, percent int64) error {
	now := e.o.Now().UTC().Truncate(time.Millisecond)
	n := app.QuotaNotice{ID: app.NewID("qnt", now), Org: a.Org, Key: a.Key, Meter: a.Meter, Period: a.Period,
		Threshold: percent, Limit: q.Limit, Used: a.Used(), At: now}
	if a.Start != 0 {
		n.Start = time.UnixMilli(a.Start).UTC()
	}
	first, err := e.o.Store.InsertNotice(ctx, n)
	if err != nil || !first {
		return err
	}
	e.o.OnNotice(n)
	if percent >= app.SuspendAt && a.Key == "" {
		if e.ladder.suspend == nil {
			e.ladder.suspend = map[app.OrgID]string{}
		}
		e.ladder.suspend[a.Org] = fmt.Sprintf("Used %s of the quota of %s %s: %d %% or more.",
			amount(a.Meter, a.Used()), amount(a.Meter, q.Limit), perPeriod(a.Period), percent)
	}
	return nil
}

// suspendPending suspends who reached the last step, and tries again later
// where that fails.
func (e *Engine) suspendPending(ctx context.Context) error {
	for id, reason := range e.ladder.suspend {
		if e.o.Suspender != nil {
			_, err := e.o.Suspender.Suspend(ctx, app.Actor{Kind: app.ActorSystem, ID: "quota"}, string(id), reason)
			if err != nil && !app.IsKind(err, app.KindNotFound) && !app.IsKind(err, app.KindConflict) {
				return err
			}
		}
		delete(e.ladder.suspend, id)
	}
	return nil
}
