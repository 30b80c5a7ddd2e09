package quota_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/quota"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// truth is what really was granted, by the requests' own count.
type truth struct {
	cap     int64
	granted atomic.Int64 // worst cases under way, and what was used
	over    atomic.Int64 // the most by which it passed the cap
	asked   atomic.Int64
}

func (w *truth) add(n int64) {
	if over := w.granted.Add(n) - w.cap; over > w.over.Load() {
		w.over.Store(over)
	}
}

// request reserves up to 100 units of which it takes some, and reports whether
// it passed.
func (n *node) request(ctx context.Context, line *quota.Line, w *truth, random *rand.Rand) (passed bool, err error) {
	worst := 1 + random.Int64N(100)
	used := random.Int64N(worst + 1)
	var h quota.Hold
	now := time.Now()
	w.asked.Add(1)
	if err := line.Reserve(ctx, now, &h, quota.Need{Meter: "tokens", Amount: worst}); err != nil {
		return false, err
	}
	w.add(worst)
	ticket, err := n.count(ctx, &h, "key_1", now)
	if err != nil { // it was never forwarded; its intent may be written all the same
		w.add(-worst)
		n.settle(ticket, &h)
		return false, err
	}
	w.add(used - worst)
	n.settle(ticket, &h, quota.Need{Meter: "tokens", Amount: used})
	return true, nil
}

// flood sends requests from so many goroutines until each was refused several
// times in a row.
func (n *node) flood(t *testing.T, line *quota.Line, w *truth, goroutines int, seed uint64) {
	t.Helper()
	var wait sync.WaitGroup
	for g := range goroutines {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(g)))
			for refused := 0; refused < 20; {
				passed, err := n.request(t.Context(), line, w, random)
				switch {
				case passed:
					refused = 0
				case codeOf(err) == "quota_exhausted":
					refused++
				case app.IsKind(err, app.KindUnavailable): // of a database that is slow
				default:
					t.Errorf("request: %v", err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// watch looks at the database all the time: what is spent and lent stays within
// the ceiling. (What a reservation used is booked still while it is spent
// already, for a moment.)
func watch(t *testing.T, s *store.Ledger, ceiling int64) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			list, err := s.AccountStates(ctx, acme, time.Now())
			for _, a := range list {
				if sum := a.Spent + a.Leased; err == nil && sum > ceiling {
					t.Errorf("in the database %d spent and %d lent: beyond %d", a.Spent, a.Leased, ceiling)
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// TestAHardCapHolds is the proof of exactness in one process: a thousand
// requests at once, of random cost, never pass the cap, and nearly all of it
// can be used.
func TestAHardCapHolds(t *testing.T) {
	seeds := 3
	if long() {
		seeds = 100
	}
	eachEngine(t, func(t *testing.T, o store.Options) {
		for seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				if seed > 0 && o.Path != "" {
					o = store.Options{Path: t.TempDir() + "/gatehouse.db"}
				} else if seed > 0 {
					o = store.Options{DSN: storetest.Postgres(t)}
				}
				holds(t, o, uint64(seed))
			})
		}
	})
}

func holds(t *testing.T, o store.Options, seed uint64) {
	const ceiling = 20_000
	n := run(t, o, nil)
	line := n.engine.Book(acmeOrg(), planOf(app.Quota{Meter: "tokens", Limit: ceiling, Period: app.PeriodLifetime}), nil).Line("key_1", "tokens")
	w := &truth{cap: ceiling}
	stop := watch(t, n.store, ceiling)
	n.flood(t, line, w, 1000, seed)
	stop()
	if err := n.close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if w.over.Load() > 0 {
		t.Errorf("%d beyond the cap at one moment", w.over.Load())
	}
	if used := w.granted.Load(); used < ceiling*99/100 {
		t.Errorf("%d of %d used: less than 99 %%", used, ceiling)
	}
	a := states(t, n.store, time.Now())[0]
	if a.Spent != w.granted.Load() || a.Held != 0 || a.Leased != 0 {
		t.Errorf("the account says %+v, the requests %d", a, w.granted.Load())
	}
	t.Logf("%d requests, %d of %d used", w.asked.Load(), a.Spent, ceiling)
}

// TestRequestsAndReservationsShareACap has both take from one quota at once.
func TestRequestsAndReservationsShareACap(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		const ceiling = 20_000
		plan := planOf(app.Quota{Meter: "tokens", Limit: ceiling, Period: app.PeriodLifetime})
		real := &clock{at: time.Now()}
		var book *quota.Book
		n := run(t, o, func(o *quota.Options) {
			o.Books = func(context.Context, app.OrgID) (*quota.Book, error) { return book, nil }
		})
		book = n.engine.Book(acmeOrg(), plan, nil)
		acme := acmeOrg()
		acme.Status = app.OrgStatusActive
		desk := &quota.Reservations{Store: n.store, Engine: n.engine, Events: openLane(t, n, real), Orgs: &orgs{acme},
			Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go desk.Run(ctx)

		w := &truth{cap: ceiling}
		stop := watch(t, n.store, ceiling)
		var wait sync.WaitGroup
		for g := range 8 {
			wait.Go(func() { reserveAll(t, desk, w, rand.New(rand.NewPCG(7, uint64(g)))) })
		}
		n.flood(t, book.Line("key_1", "tokens"), w, 50, 7)
		wait.Wait()
		await(t, "the reservations' end", func() bool { return states(t, n.store, time.Now())[0].Booked == 0 })
		stop()
		n.flood(t, book.Line("key_1", "tokens"), w, 1, 8) // what the last ones left
		if w.over.Load() > 0 || w.granted.Load() < ceiling*99/100 {
			t.Errorf("%d of %d used, at one moment %d beyond", w.granted.Load(), ceiling, w.over.Load())
		}
		await(t, "the account", func() bool { return states(t, n.store, time.Now())[0].Spent == w.granted.Load() })
	})
}

// reserveAll reserves and settles until it is refused.
func reserveAll(t *testing.T, desk *quota.Reservations, w *truth, random *rand.Rand) {
	for {
		amount := 1 + random.Int64N(300)
		r, err := desk.Reserve(t.Context(), itsKey, quota.NewReservation{Meter: "tokens", Amount: amount})
		if codeOf(err) == "quota_exhausted" {
			return
		}
		if app.IsKind(err, app.KindUnavailable) {
			continue
		}
		if err != nil {
			t.Errorf("reserve: %v", err)
			return
		}
		w.add(amount)
		used := random.Int64N(amount + 1)
		w.add(used - amount)
		if _, err := desk.Settle(t.Context(), itsKey, r.ID, used); err != nil {
			t.Errorf("settle: %v", err)
			return
		}
	}
}
