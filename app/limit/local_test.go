package limit

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

// ticking is a clock that many goroutines move forward.
type ticking struct{ ns atomic.Int64 }

func (c *ticking) Now() time.Time { return time.Unix(0, c.ns.Load()) }

// While all take, some of several cells and so with roll-backs, and the clock
// runs, no cell may give more than its burst and what refilled.
func TestConcurrentTakesKeepTheLimitExactly(t *testing.T) {
	clock := &ticking{}
	clock.ns.Store(1e18)
	a := NewLocal(clock.Now)
	defer a.Close(t.Context())
	limits := []app.RateLimit{per(1000, time.Second, 50), per(70_000, time.Minute, 20), per(333, time.Second, 100)}
	cells := make([]*Cell, len(limits))
	taken := make([]atomic.Int64, len(limits))
	for i, l := range limits {
		cells[i] = a.Cell(OrgCell("org_1", string(rune('a'+i))), l)
	}
	begun := clock.Now()
	var all sync.WaitGroup
	for g := range 8 {
		random := rand.New(rand.NewPCG(3, uint64(g)))
		all.Go(func() {
			for range 20_000 {
				clock.ns.Add(random.Int64N(4000))
				order := random.Perm(len(cells))[:1+random.IntN(len(cells))]
				chosen := make([]*Cell, 0, len(order))
				for _, i := range order {
					chosen = append(chosen, cells[i])
				}
				n := 1 + random.Int64N(3)
				if a.Take(t.Context(), clock.Now(), n, chosen).OK {
					for _, i := range order {
						taken[i].Add(n)
					}
				}
			}
		})
	}
	all.Wait()
	lasted := clock.Now().Sub(begun)
	for i, l := range limits {
		most := l.Capacity() + int64(float64(l.Requests)*lasted.Seconds()/l.Window.Std().Seconds()) + 1
		if got := taken[i].Load(); got > most || got < most*9/10 {
			t.Errorf("%d per %s: %d passed in %s, where %d may", l.Requests, l.Window, got, lasted, most)
		}
	}
}

func TestConcurrentTakersOfOneCellGetExactlyItsBurst(t *testing.T) {
	a := NewLocal(nil)
	defer a.Close(t.Context())
	const burst = 2_000_000
	cell := a.Cell("o", per(1, 366*24*time.Hour, burst))
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			mine := int64(0)
			for range burst / 4 {
				if a.Take(t.Context(), time.Now(), 1, []*Cell{cell}).OK {
					mine++
				}
			}
			passed.Add(mine)
		})
	}
	all.Wait()
	if got := passed.Load(); got != burst {
		t.Errorf("%d passed of a burst of %d", got, burst)
	}
}

// A cell named twice fits at the first look and refuses in the middle, as a
// cell does that another request empties between.
func TestRefusalInTheMiddleTakesNothing(t *testing.T) {
	clock := newHand()
	a := NewLocal(clock.Now)
	defer a.Close(t.Context())
	first, second := a.Cell("first", per(10, time.Hour, 0)), a.Cell("second", per(1, time.Hour, 0))
	d := a.Take(t.Context(), clock.Now(), 1, []*Cell{first, second, second})
	if d.OK || first.State(clock.Now()).Remaining != 10 || second.State(clock.Now()).Remaining != 1 {
		t.Errorf("%+v; %d of 10 and %d of 1 are left", d, first.State(clock.Now()).Remaining, second.State(clock.Now()).Remaining)
	}
}

func TestGivingBackReturnsOnlyWhatHasNotRefilled(t *testing.T) {
	clock := newHand()
	a := NewLocal(clock.Now)
	defer a.Close(t.Context())
	cell := a.Cell("o", per(10, time.Second, 10))
	taken := a.clock.elapsed(clock.Now())
	cell.take(taken, 10)
	clock.Pass(time.Second) // all of it has refilled
	if !a.Take(t.Context(), clock.Now(), 10, []*Cell{cell}).OK {
		t.Fatal("a full cell refused")
	}
	cell.giveBack(taken, 10)
	if got := cell.State(clock.Now()).Remaining; got != 0 {
		t.Errorf("%d units appeared from nothing", got)
	}
	taken = a.clock.elapsed(clock.Now())
	clock.Pass(300 * time.Millisecond) // 3 have refilled
	cell.take(a.clock.elapsed(clock.Now()), 3)
	cell.giveBack(taken, 10)
	if got := cell.State(clock.Now()).Remaining; got != 7 {
		t.Errorf("%d of 10 units came back, where 7 had not refilled", got)
	}
}

func TestClockGoingBackLocksNobodyForLong(t *testing.T) {
	clock := newHand()
	a := NewLocal(clock.Now)
	defer a.Close(t.Context())
	clock.Pass(24 * time.Hour)
	cells := []*Cell{a.Cell("o", per(60, time.Minute, 0))}
	a.Take(t.Context(), clock.Now(), 60, cells)
	clock.Pass(-time.Hour)
	if a.Take(t.Context(), clock.Now(), 1, cells).OK {
		t.Error("a clock set back gave units")
	}
	a.tidy()
	if a.Take(t.Context(), clock.Now(), 1, cells).OK {
		t.Error("repairing gave units")
	}
	clock.Pass(time.Second)
	if d := a.Take(t.Context(), clock.Now(), 1, cells); !d.OK {
		t.Errorf("still locked for %s", d.RetryAfter)
	}
}

func TestFullCellsAreForgottenUnlessHeld(t *testing.T) {
	clock := newHand()
	a := NewLocal(clock.Now)
	defer a.Close(t.Context())
	l := per(60, time.Minute, 0)
	held := a.Cell("held", l)
	for i := range 1000 {
		cell := a.Cell(string(rune(i))+"/x", l)
		if i%2 == 0 {
			a.Take(t.Context(), clock.Now(), 30, []*Cell{cell})
		}
	}
	runtime.GC()
	a.sweep()
	if got := a.count(); got != 501 {
		t.Errorf("%d cells are known, where 500 are in use and one is held", got)
	}
	if a.Cell("\x00/x", l).State(clock.Now()).Remaining != 30 {
		t.Error("a cell in use was forgotten")
	}
	clock.Pass(time.Minute)
	a.sweep()
	runtime.GC()
	a.sweep()
	if got := a.count(); got != 1 {
		t.Errorf("%d cells are known, where only one is held", got)
	}
	if a.Cell("held", l) != held {
		t.Error("a held cell was replaced")
	}
	// Used again after it was parked, it is not forgotten although nobody holds it.
	a.Take(t.Context(), clock.Now(), 60, []*Cell{held})
	held = nil
	runtime.GC()
	a.sweep()
	if a.Take(t.Context(), clock.Now(), 1, []*Cell{a.Cell("held", l)}).OK {
		t.Error("a used-up cell was forgotten")
	}
}

func TestSweepingWhileTakingLosesNothing(t *testing.T) {
	a := NewLocal(nil)
	defer a.Close(t.Context())
	l := per(1, time.Hour, 200)
	stop := make(chan struct{})
	var sweeping sync.WaitGroup
	sweeping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				a.sweep()
				runtime.GC()
			}
		}
	})
	for round := range 20 {
		var passed atomic.Int64
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 100 {
					if take(t, a, 1, a.Cell(string(rune('a'+round)), l)).OK {
						passed.Add(1)
					}
				}
			})
		}
		all.Wait()
		if got := passed.Load(); got != 200 {
			t.Fatalf("%d of 200 passed", got)
		}
	}
	close(stop)
	sweeping.Wait()
}

func TestTakeAllocatesNothing(t *testing.T) {
	a := NewLocal(nil)
	defer a.Close(t.Context())
	cells := fiveCells(a, "org_1", 1<<30)
	used := a.Cell("used", per(1, time.Hour, 1))
	take(t, a, 1, used)
	now := time.Now()
	for name, fn := range map[string]func(){
		"passed":  func() { a.Take(t.Context(), now, 1, cells) },
		"refused": func() { a.Take(t.Context(), now, 1, []*Cell{used}) },
	} {
		if got := testing.AllocsPerRun(100, fn); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// fiveCells are what a request usually carries: two of the plan, one of the
// key, two of the route.
func fiveCells(a Authority, org app.OrgID, rate int64) []*Cell {
	return []*Cell{
		a.Cell(OrgCell(org, "hour"), named("hour", rate, time.Hour)),
		a.Cell(OrgCell(org, "minute"), named("minute", rate, time.Minute)),
		a.Cell(KeyCell(org, "key_1", "minute"), named("minute", rate, time.Minute)),
		a.Cell(RouteCell(org, "rte_1", "minute"), named("minute", rate, time.Minute)),
		a.Cell(RouteCell(org, "rte_1", "second"), named("second", min(rate, 1e9), time.Second)),
	}
}
