package limit

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

func named(name string, requests int64, window time.Duration) app.RateLimit {
	return app.RateLimit{Name: name, Requests: requests, Window: app.Duration(window)}
}

// take takes n units now.
func take(t testing.TB, a Authority, n int64, cells ...*Cell) Decision {
	t.Helper()
	d := a.Take(context.Background(), time.Now(), n, cells)
	if d.Err != nil {
		t.Fatalf("no decision: %v", d.Err)
	}
	return d
}

// passes counts how many of tries pass.
func passes(t testing.TB, a Authority, tries int, n int64, cells ...*Cell) (passed int64) {
	t.Helper()
	for range tries {
		if take(t, a, n, cells...).OK {
			passed++
		}
	}
	return passed
}

// expect checks how many passed: exactly as many under Local. Replicas may be
// a little under: a unit that was held and given back is short of what
// refilled meanwhile, so it passes some milliseconds later.
func expect(t testing.TB, a Authority, about string, got, want int64) {
	t.Helper()
	least := want
	if a.Stats().Shared {
		least -= 1 + want/50
	}
	if got > want || got < least {
		t.Errorf("%s: %d passed, where %d may", about, got, want)
	}
}

func TestBurstPassesAndThenNothing(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		cell := a.Cell(OrgCell("org_1", "hour"), named("hour", 50, time.Hour))
		expect(t, a, "80 tries at a burst of 50", passes(t, a, 80, 1, cell), 50)
		d := take(t, a, 1, cell)
		if d.OK || d.Refused != cell || d.RetryAfter <= 0 || d.RetryAfter > 72*time.Second {
			t.Errorf("a unit refills in 72 s; the refusal says %+v", d)
		}
		if state := cell.State(time.Now()); state.Remaining != 0 || state.Reset <= 59*time.Minute || state.Reset > time.Hour {
			t.Errorf("a used-up cell: %+v", state)
		}
	})
}

func TestBurstIsApartFromTheRate(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		l := named("hour", 1000, time.Hour)
		l.Burst = 3
		expect(t, a, "10 tries at a burst of 3", passes(t, a, 10, 1, a.Cell(OrgCell("org_1", "hour"), l)), 3)
	})
}

func TestWeightsTakeSeveralUnits(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		cell := a.Cell(OrgCell("org_1", "hour"), named("hour", 100, time.Hour))
		got := passes(t, a, 20, 7, cell)
		expect(t, a, "20 requests of 7 units of 100", got, 14)
		expect(t, a, "1 unit each of the rest", passes(t, a, 50, 1, cell), 100-7*got)
	})
}

func TestMoreThanTheCapacityNeverPassesAndSaysSo(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		small := a.Cell(OrgCell("org_1", "small"), named("small", 5, time.Hour))
		large := a.Cell(OrgCell("org_1", "large"), named("large", 100, time.Hour))
		d := take(t, a, 6, large, small)
		if d.OK || !d.TooLarge || d.Refused != small || d.RetryAfter != 0 {
			t.Fatalf("6 units of a cell of 5: %+v", d)
		}
		problem := d.Problem(time.Now())
		if problem.Code != "exceeds_rate_limit" || problem.Kind != app.KindRateLimited || problem.RetryAfter != 0 {
			t.Errorf("the refusal reads %+v", problem)
		}
		expect(t, a, "what the refusal left", passes(t, a, 200, 1, large), 100)
	})
}

func TestAllCellsOrNone(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		org := a.Cell(OrgCell("org_1", "hour"), named("hour", 100, time.Hour))
		key := a.Cell(KeyCell("org_1", "key_1", "hour"), named("hour", 10, time.Hour))
		route := a.Cell(RouteCell("org_1", "rte_1", "hour"), named("hour", 30, time.Hour))
		first := passes(t, a, 40, 1, org, key, route)
		expect(t, a, "the key's 10", first, 10)
		if d := take(t, a, 1, org, key, route); d.Refused != key {
			t.Errorf("the refusal names %v", d.Refused)
		}
		second := passes(t, a, 40, 1, org, route)
		expect(t, a, "what refusals left of the route's 30", first+second, 30)
		third := passes(t, a, 100, 1, org)
		expect(t, a, "what refusals left of the organization's 100", first+second+third, 100)
	})
}

// Cells of different owners are in different hash slots.
func TestAllCellsOrNoneOverOwners(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		one := a.Cell(OrgCell("org_1", "hour"), named("hour", 50, time.Hour))
		two := a.Cell(OrgCell("org_2", "hour"), named("hour", 5, time.Hour))
		both := passes(t, a, 20, 1, one, two)
		expect(t, a, "both", both, 5)
		expect(t, a, "what refusals left of the first", both+passes(t, a, 60, 1, one), 50)
	})
}

func TestDryRunCountsAndNeverRefuses(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		dryLimit := named("trial", 4, time.Hour)
		dryLimit.Mode = app.LimitModeDryRun
		dry := a.Cell(OrgCell("org_1", "trial"), dryLimit)
		firm := a.Cell(OrgCell("org_1", "hour"), named("hour", 10, time.Hour))
		would, passed := int64(0), int64(0)
		for take := take(t, a, 1, dry, firm); take.OK; take = a.Take(t.Context(), time.Now(), 1, []*Cell{dry, firm}) {
			if passed++; take.WouldRefuse == dry {
				would++
			}
		}
		expect(t, a, "the firm limit's 10", passed, 10)
		expect(t, a, "the trial's 4", passed-would, 4)
		if would != dry.WouldRefuse() {
			t.Errorf("the trial would refuse: %d were reported, %d counted", would, dry.WouldRefuse())
		}
		if d := take(t, a, 1, dry, firm); d.OK || d.Refused != firm {
			t.Errorf("one more: %+v", d)
		}
		if would != dry.WouldRefuse() {
			t.Error("a request that another limit refused was counted")
		}
		if d := take(t, a, 5, dry); !d.OK || d.WouldRefuse != dry {
			t.Errorf("more than the trial's capacity: %+v", d)
		}
	})
}

func TestUnitsRefillAtTheRate(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		l := named("second", 200, time.Second)
		l.Burst = 20
		cell := a.Cell(OrgCell("org_1", "second"), l)
		begun, passed, last := time.Now(), int64(0), time.Now()
		for passed < 120 {
			if d := take(t, a, 1, cell); d.OK {
				passed, last = passed+1, time.Now()
			}
			if time.Since(begun) > 60*time.Second {
				t.Fatalf("only %d passed in a minute", passed)
			}
		}
		// The clock of Redis runs in microseconds and the reply takes a while.
		if most := 20 + int64(200*last.Sub(begun).Seconds()) + 1; passed > most {
			t.Errorf("%d passed in %s, where at most %d may", passed, last.Sub(begun), most)
		}
	})
}

// rest counts what is left when all replicas have given back what they hold.
func rest(t *testing.T, replicas []Authority, last Authority, cells ...*Cell) (n int64) {
	t.Helper()
	for _, a := range replicas {
		if s, shared := a.(*Shared); shared {
			s.giveAllBack(t.Context())
		}
	}
	for take(t, last, 1, cells...).OK {
		n++
	}
	return n
}

func TestConcurrentTakersGetExactlyTheLimit(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		replicas := []Authority{join(), join(), join()}
		const limit = 3000
		var passed atomic.Int64
		var all sync.WaitGroup
		for _, a := range replicas {
			org := a.Cell(OrgCell("org_1", "day"), named("day", limit, 24*time.Hour))
			key := a.Cell(KeyCell("org_1", "key_1", "day"), named("day", limit*2, 24*time.Hour))
			for range 4 {
				all.Go(func() {
					for refusals := 0; refusals < 50; {
						if take(t, a, 1, org, key).OK {
							passed.Add(1)
						} else {
							refusals++
						}
					}
				})
			}
		}
		all.Wait()
		last := join()
		left := rest(t, replicas, last, last.Cell(OrgCell("org_1", "day"), named("day", limit, 24*time.Hour)))
		t.Logf("%d passed, %d were left", passed.Load(), left)
		// A few units refill during the test, one each 28.8 s.
		if got := passed.Load() + left; got > limit+2 || got < limit*98/100 {
			t.Errorf("%d passed where %d may", got, limit)
		}
	})
}

func TestRandomWeightsNeverPassTheLimit(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		replicas := []Authority{join(), join()}
		const limit = 5000
		var units atomic.Int64
		var all sync.WaitGroup
		for i, a := range replicas {
			cell := a.Cell(OrgCell("org_1", "day"), named("day", limit, 24*time.Hour))
			for j := range 3 {
				random := rand.New(rand.NewPCG(uint64(i), uint64(j)))
				all.Go(func() {
					for refusals := 0; refusals < 60; {
						n := 1 + random.Int64N(40)
						if take(t, a, n, cell).OK {
							units.Add(n)
						} else {
							refusals++
						}
					}
				})
			}
		}
		all.Wait()
		last := join()
		left := rest(t, replicas, last, last.Cell(OrgCell("org_1", "day"), named("day", limit, 24*time.Hour)))
		if got := units.Load() + left; got > limit+2 || got < limit*98/100 {
			t.Errorf("%d units passed where %d may", got, limit)
		}
	})
}

func TestChangedLimitHoldsForThoseWhoHoldTheCell(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		key := OrgCell("org_1", "hour")
		cell := a.Cell(key, named("hour", 10, time.Hour))
		got := passes(t, a, 20, 1, cell)
		expect(t, a, "of 10", got, 10)
		if a.Cell(key, named("hour", 25, time.Hour)) != cell {
			t.Fatal("a changed limit made another cell")
		}
		if more := passes(t, a, 40, 1, cell); more < 12 || got+more > 25 {
			t.Errorf("raised from 10 (used up) to 25: %d more passed", more)
		}
		a.Cell(key, named("hour", 5, time.Hour))
		if got := passes(t, a, 10, 1, cell); got != 0 {
			t.Errorf("lowered to 5 with 25 used: %d more passed", got)
		}
	})
}

func TestCancelledRequestGetsNoDecisionAndTakesNothing(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		cell := a.Cell(OrgCell("org_1", "hour"), named("hour", 20, time.Hour))
		left, leave := context.WithCancel(t.Context())
		leave()
		taken := int64(0)
		for range 5 {
			if d := a.Take(left, time.Now(), 1, []*Cell{cell}); d.OK {
				taken++
			} else if !app.IsKind(d.Err, app.KindCancelled) {
				t.Fatalf("a caller who has left: %+v", d)
			}
		}
		// Units of those who left come back with later calls, none twice.
		eventually(t, "the units come back", func() bool {
			taken += passes(t, a, 40, 1, cell)
			return taken >= 19
		})
		expect(t, a, "of 20", taken, 20)
	})
}

func TestExtremeLimits(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		year := 366 * 24 * time.Hour
		for i, l := range []app.RateLimit{
			per(1, year, 1), per(1, year, 1_000_000_000), per(1_000_000_000, year, 0), per(31, year, 7),
			per(1, time.Hour, 1), per(3, 7*time.Hour, 3), per(1_000_000, year, 1),
		} {
			cell := a.Cell(OrgCell("org_1", string(rune('a'+i))), l)
			burst := l.Capacity()
			d := take(t, a, burst, cell)
			if !d.OK {
				t.Errorf("%d per %s: the burst of %d was refused: %+v", l.Requests, l.Window, burst, d)
			}
			unit := time.Duration(int64(l.Window) / l.Requests)
			if unit < time.Second {
				continue // it refills while the test runs
			}
			if d := take(t, a, 1, cell); d.OK || d.RetryAfter > unit+unit/1000 || d.RetryAfter < unit-time.Minute {
				t.Errorf("%d per %s burst %d, used up: %+v", l.Requests, l.Window, burst, d)
			}
		}
	})
}

func TestCellNamedTwiceIsNotCheaper(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		cell := a.Cell(OrgCell("org_1", "hour"), named("hour", 10, time.Hour))
		if got := passes(t, a, 20, 1, cell, cell); got > 10 || got < 5 {
			t.Errorf("%d passed of a limit of 10", got)
		}
	})
}

func TestRefreshShowsWhatOtherReplicasTook(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		one, two := join(), join()
		key, l := OrgCell("", "hour"), named("hour", 10, time.Hour)
		take(t, one, 4, one.Cell(key, l))
		other := two.Cell(key, l)
		two.Refresh(t.Context(), []*Cell{other})
		if got := other.State(time.Now()).Remaining; got != 6 {
			t.Errorf("%d of 10 are shown after 4 were taken elsewhere", got)
		}
		if d := take(t, two, 6, other); !d.OK {
			t.Errorf("looking took some: %+v", d)
		}
	})
}

// Whoever only looks may have read the limit before it changed.
func TestPeekLeavesTheLimitAsItIs(t *testing.T) {
	eachAuthority(t, func(t *testing.T, join func() Authority) {
		a := join()
		key, now, old := OrgCell("", "hour"), named("hour", 3, time.Hour), named("hour", 10, time.Hour)
		held := a.Cell(key, now)
		if seen := a.Peek(key, old); seen != held || seen.Limit() != now {
			t.Errorf("looking found %+v, or changed it; want %+v", seen.Limit(), now)
		}
		if got := passes(t, a, 5, 1, held); got != 3 {
			t.Errorf("%d passed of a limit of 3", got)
		}
		if fresh := a.Peek(OrgCell("", "minute"), old); fresh.State(time.Now()).Remaining != 10 {
			t.Error("a cell that nobody used is not full")
		}
	})
}

// A replica that is killed forfeits what it holds, at most its share of what
// remained: the others never get more than the limit together with it.
func TestKilledReplicaNeverMakesTheSumMore(t *testing.T) {
	for name, scripts := range map[string]Scripts{"miniredis": miniRedis(t), "Redis": realRedis(t)} {
		const limit, replicas = 20_000, 4
		key, l := OrgCell("org_1", "day"), named("day", limit, 24*time.Hour)
		var passed atomic.Int64
		var all sync.WaitGroup
		var alive []Authority
		joined := make([]*Shared, replicas)
		for i := range joined {
			joined[i] = share(t, scripts)
		}
		for i, a := range joined {
			a.beat(t.Context()) // each knows of all
			cell, killed := a.Cell(key, l), i == 0
			if !killed {
				alive = append(alive, a)
			}
			for range 3 {
				all.Go(func() {
					for refusals := 0; refusals < 50 && (!killed || passed.Load() < limit/3); {
						if take(t, a, 1, cell).OK {
							passed.Add(1)
						} else {
							refusals++
						}
					}
				})
			}
		}
		all.Wait()
		last := share(t, scripts)
		got := passed.Load() + rest(t, alive, last, last.Cell(key, l))
		t.Logf("%s: %d of %d were used", name, got, limit)
		if got > limit+2 || got < limit-limit/(4*replicas)-100 {
			t.Errorf("%s: %d passed where %d may", name, got, limit)
		}
	}
}
