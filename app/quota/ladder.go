package quota

import (
	"context"
	"errors"
	"math"
	"math/bits"
	"time"

	"gatehouse/app"
)

const (
	ladderPage    = 1000
	ladderOverlap = 10 * time.Second // clocks of replicas differ, and commits come late
	ladderStart   = time.Hour        // how far a new process looks back, and how long a period that ended is told of
	ladderFailed  = 10               // accounts that could not be looked at end a climb: the database is away
	maxTold       = 100_000
)

// ladder remembers what was told; it belongs to the one who climbs.
type ladder struct {
	since  int64 // Unix milliseconds: changes before it were looked at
	told   map[rung]bool
	looked map[app.Account]sight
	books  map[app.OrgID]*Book // read during this climb; nil: there is no such organization
}

type rung struct {
	account   app.Account
	threshold int64
}

// sight is how an account stood when it was looked at.
type sight struct {
	at          time.Time // of its change
	limit, used int64
	base        int64 // what was used when the limit became this one, if it was another
}

// Climb looks at the accounts that changed, and tells each threshold that one
// of them passed, once among all replicas; at SuspendAt per cent of an
// organization's own quota it suspends the organization. What fails for one
// account is tried again by the next climb, and keeps no other from being
// looked at. One at a time may climb.
func (e *Engine) Climb(ctx context.Context) error {
	if e.o.Books == nil {
		return nil
	}
	l := &e.ladder
	if l.since == 0 {
		l.since = e.o.Now().Add(-ladderStart).UnixMilli()
	}
	if l.told == nil || len(l.told)+len(l.looked) > maxTold {
		l.told, l.looked = map[rung]bool{}, map[app.Account]sight{}
	}
	l.books = map[app.OrgID]*Book{}
	return e.climbAll(ctx, l.since-ladderOverlap.Milliseconds())
}

func (e *Engine) climbAll(ctx context.Context, from int64) error {
	var failed []error
	again := int64(math.MaxInt64) // from when on accounts have to be looked at again
	for page, last := ladderPage, from; len(failed) < ladderFailed; from = last {
		list, err := e.o.Store.AccountsUpdated(ctx, from, page)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, a := range list {
			last = a.UpdatedAt.UnixMilli()
			if err := e.climb(ctx, a); err != nil {
				failed, again = append(failed, err), min(again, last)
			}
			e.ladder.since = max(e.ladder.since, last)
		}
		if len(list) < page {
			break
		}
		if last <= from { // more changed in this millisecond than a page holds
			page *= 2
		}
	}
	e.ladder.since = min(e.ladder.since, again)
	return errors.Join(failed...)
}

// climb looks at one account. Who hears of a period that ended long ago can do
// nothing about it, and its late events suspend nobody.
func (e *Engine) climb(ctx context.Context, a app.AccountState) error {
	before, seen := e.ladder.looked[a.Account]
	if seen && before.at.Equal(a.UpdatedAt) && before.used == a.Used() ||
		a.End != 0 && e.o.Now().UnixMilli()-a.End > ladderStart.Milliseconds() {
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
	now := sight{at: a.UpdatedAt, limit: q.Limit, used: a.Used(), base: before.base}
	if seen && before.limit != q.Limit {
		now.base = before.used
	}
	for _, percent := range q.Ladder() {
		at := rung{a.Account, percent}
		if e.ladder.told[at] || !reached(a.Used(), q.Limit, percent) {
			continue
		}
		if e.ladder.told[at], err = e.step(ctx, a, q, percent, now.base); err != nil {
			return err
		}
	}
	e.ladder.looked[a.Account] = now
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

// reached reports whether used is so many per cent of the limit. A limit of 0
// grants nothing of which there could be a part.
func reached(used, limit, percent int64) bool {
	if used <= 0 || limit <= 0 {
		return false
	}
	usedHigh, usedLow := bits.Mul64(uint64(used), 100)
	high, low := bits.Mul64(uint64(limit), uint64(percent))
	return usedHigh > high || usedHigh == high && usedLow >= low
}

// step does what the threshold asks for, and reports whether that is done,
// here or by another replica.
func (e *Engine) step(ctx context.Context, a app.AccountState, q app.Quota, percent, base int64) (done bool, err error) {
	if percent >= app.SuspendAt && a.Key == "" {
		// Suspended first: who dies in between has told nobody, and the next one does both.
		due, err := e.suspend(ctx, a, q, percent, base)
		if !due || err != nil {
			return false, err
		}
	}
	return true, e.tell(ctx, a, q, percent)
}

func (e *Engine) tell(ctx context.Context, a app.AccountState, q app.Quota, percent int64) error {
	now := e.o.Now().UTC().Truncate(time.Millisecond)
	n := app.QuotaNotice{ID: app.NewID("qnt", now), Org: a.Org, Key: a.Key, Meter: a.Meter, Period: a.Period,
		Threshold: percent, Limit: q.Limit, Used: a.Used(), At: now}
	if a.Start != 0 {
		n.Start = time.UnixMilli(a.Start).UTC()
	}
	first, err := e.o.Store.InsertNotice(ctx, n)
	if err == nil && first {
		e.o.OnNotice(n)
	}
	return err
}
