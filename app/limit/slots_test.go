package limit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

// eachSlots runs the test on every kind of slots; join adds a replica.
func eachSlots(t *testing.T, test func(t *testing.T, join func() Slots)) {
	t.Run("local", func(t *testing.T) {
		s := NewLocalSlots()
		test(t, func() Slots { return s })
	})
	shared := func(t *testing.T, scripts Scripts) {
		test(t, func() Slots { return shareSlots(t, scripts, time.Now) })
	}
	t.Run("miniredis", func(t *testing.T) { shared(t, miniRedis(t)) })
	t.Run("Redis", func(t *testing.T) { shared(t, realRedis(t)) })
}

func shareSlots(t *testing.T, scripts Scripts, now func() time.Time) *SharedSlots {
	s := NewSharedSlots(t.Context(), SharedOptions{Scripts: scripts, Now: now, Timeout: 10 * time.Second,
		Replica: fmt.Sprint("replica-", replicaNumber.Add(1))})
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func TestSlotsAreNeverMoreThanTheCap(t *testing.T) {
	eachSlots(t, func(t *testing.T, join func() Slots) {
		replicas := []Slots{join(), join(), join()}
		for _, most := range []int64{1, 3, 50} {
			var running, highest, acquired atomic.Int64
			var all sync.WaitGroup
			for i, replica := range replicas {
				pool := replica.Pool(fmt.Sprint("org_1/in-flight/", most))
				for g := range 6 {
					random := rand.New(rand.NewPCG(uint64(i), uint64(g)))
					all.Go(func() {
						for range 40 {
							if !pool.Acquire(t.Context(), most) {
								continue
							}
							acquired.Add(1)
							now := running.Add(1)
							for high := highest.Load(); now > high && !highest.CompareAndSwap(high, now); high = highest.Load() {
							}
							for range random.IntN(100) {
								runtime.Gosched()
							}
							running.Add(-1)
							pool.Release()
						}
					})
				}
			}
			all.Wait()
			if highest.Load() > most {
				t.Errorf("%d ran at once where %d may", highest.Load(), most)
			}
			if acquired.Load() == 0 {
				t.Error("nothing ran")
			}
		}
	})
}

// fill takes slots until one is refused.
func fill(t *testing.T, p *Pool, most int64) (got int64) {
	t.Helper()
	for p.Acquire(t.Context(), most) {
		if got++; got > most {
			t.Fatalf("cap %d: one more was given", most)
		}
	}
	return got
}

func TestSlotsAreFreeAgainForEveryone(t *testing.T) {
	eachSlots(t, func(t *testing.T, join func() Slots) {
		one, two := join().Pool("org_1/websockets"), join().Pool("org_1/websockets")
		for _, most := range []int64{1, 2, 100} {
			for range 3 {
				first := int64(0)
				// What the other freed is free here a moment later, and of a
				// large cap the other may hold the reserve.
				eventually(t, "the slots are free again", func() bool {
					if first = fill(t, one, most); first >= most-most/16 {
						return true
					}
					release(one, first)
					return false
				})
				second := fill(t, two, most)
				if first+second > most {
					t.Fatalf("cap %d: %d and %d slots were given", most, first, second)
				}
				release(one, first)
				release(two, second)
				eventually(t, "a freed slot is given to the other replica", func() bool { return two.Acquire(t.Context(), most) })
				two.Release()
			}
		}
	})
}

func release(p *Pool, n int64) {
	for range n {
		p.Release()
	}
}

func TestNoCapCountsOnly(t *testing.T) {
	eachSlots(t, func(t *testing.T, join func() Slots) {
		pool := join().Pool("org_1/in-flight")
		for range 1000 {
			if !pool.Acquire(t.Context(), 0) {
				t.Fatal("refused without a cap")
			}
		}
		if pool.Used() != 1000 {
			t.Errorf("%d are counted", pool.Used())
		}
		for range 1000 {
			pool.Release()
		}
		if pool.Used() != 0 {
			t.Errorf("%d are left", pool.Used())
		}
	})
}

func TestPoolsThatNobodyHoldsAreForgotten(t *testing.T) {
	s := NewLocalSlots()
	held := s.Pool("held")
	held.Acquire(t.Context(), 1)
	for i := range 1000 {
		p := s.Pool(fmt.Sprint(i))
		p.Acquire(t.Context(), 1)
		p.Release()
	}
	count := func() (n int) {
		for i := range s.shards {
			s.shards[i].mu.Lock()
			n += len(s.shards[i].pools)
			s.shards[i].mu.Unlock()
		}
		return n
	}
	eventually(t, "only the pool in use is known", func() bool { runtime.GC(); return count() == 1 })
	if s.Pool("held").Acquire(t.Context(), 1) {
		t.Error("a pool in use was forgotten")
	}
	held.Release()
}

func TestSlotsOfADeadReplicaComeFreeAfterTheirLease(t *testing.T) {
	st := newStage(t)
	dead, alive := shareSlots(t, st.c, st.Now), shareSlots(t, st.c, st.Now)
	lost := dead.Pool("org_1/in-flight")
	pool := alive.Pool("org_1/in-flight")
	for range 3 {
		if !lost.Acquire(t.Context(), 3) {
			t.Fatal("a free slot was refused")
		}
	}
	dead.stop() // and is never heard of again
	dead.done.Wait()
	st.Pass(slotsLife - time.Millisecond)
	if pool.Acquire(t.Context(), 3) {
		t.Error("a slot was given twice before its lease ended")
	}
	st.Pass(2 * time.Millisecond)
	for i := range 3 {
		if !pool.Acquire(t.Context(), 3) {
			t.Errorf("slot %d of a dead replica is not free", i)
		}
	}
	// Was it only cut off, it may use nothing of what it held.
	lost.Release()
	if lost.Acquire(t.Context(), 3) {
		t.Error("a slot was used after its lease ended")
	}
}

func TestRenewedSlotsStay(t *testing.T) {
	st := newStage(t)
	one, two := shareSlots(t, st.c, st.Now), shareSlots(t, st.c, st.Now)
	if !one.Pool("org_1/x").Acquire(t.Context(), 1) {
		t.Fatal("a free slot was refused")
	}
	for range 10 {
		st.Pass(slotsLife / 2)
		one.renew()
		if two.Pool("org_1/x").Acquire(t.Context(), 1) {
			t.Fatal("a slot that is renewed was given to another")
		}
	}
	if len(one.active) != 1 {
		t.Errorf("%d pools are renewed", len(one.active))
	}
}

func TestIdleReserveGoesBack(t *testing.T) {
	st := newStage(t)
	one, two := shareSlots(t, st.c, st.Now), shareSlots(t, st.c, st.Now)
	pool := one.Pool("org_1/x")
	if !pool.Acquire(t.Context(), 160) || pool.shared.held.Load() < 2 {
		t.Fatalf("%d slots in hand of a large cap", pool.shared.held.Load())
	}
	pool.Release()
	one.renew()
	one.renew()
	other := two.Pool("org_1/x")
	for i := range 160 {
		if !other.Acquire(t.Context(), 160) {
			t.Fatalf("slot %d of 160 is kept by a replica at rest", i)
		}
	}
	if len(one.active) != 0 {
		t.Error("a pool at rest is renewed")
	}
}

func TestSlotsWithoutRedis(t *testing.T) {
	for _, mode := range []app.FailMode{app.FailOpen, app.FailClosed} {
		st := newStage(t)
		s := NewSharedSlots(t.Context(), SharedOptions{Scripts: st.c, Replica: "a", OnLoss: mode, Now: st.Now})
		t.Cleanup(func() { s.Close(context.Background()) })
		st.mini.SetError("LOADING")
		pool := s.Pool("org_1/x")
		got := 0
		for range 5 {
			if pool.Acquire(t.Context(), 3) {
				got++
			}
		}
		want := map[app.FailMode]int{app.FailOpen: 3, app.FailClosed: 0}[mode]
		if got != want || s.Degraded().IsZero() {
			t.Errorf("%s: %d of 5 with a cap of 3; away since %s", mode, got, s.Degraded())
		}
		st.mini.SetError("")
		s.renew()
		if !s.Degraded().IsZero() {
			t.Errorf("%s: still degraded", mode)
		}
		for range got {
			pool.Release()
		}
		if !pool.Acquire(t.Context(), 3) {
			t.Errorf("%s: refused with Redis back", mode)
		}
	}
}
