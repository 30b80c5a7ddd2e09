package traffic

import (
	"testing"
	"time"

	"gatehouse/app"
)

func TestBucketsAreOrderedAndTight(t *testing.T) {
	last := -1
	for us := int64(0); us < 10_000_000; us += 1 + us/50 {
		d := time.Duration(us) * time.Microsecond
		b := bucketOf(d)
		if b < last {
			t.Fatalf("bucket of %v is %d, below %d", d, b, last)
		}
		if floorOf(b) > d || floorOf(b+1) <= d {
			t.Fatalf("%v is outside of its bucket %d: %v to %v", d, b, floorOf(b), floorOf(b+1))
		}
		last = b
	}
	if bucketOf(100*time.Hour) != bucketCount-1 || bucketOf(-time.Second) != 0 {
		t.Error("durations out of range must land in the outer buckets")
	}
}

func TestQuantilesAreWithinAQuarterBucket(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	var last counts
	c := h.since(&last)
	for q, want := range map[float64]time.Duration{.5: 500, .95: 950, .99: 990} {
		got := c.quantile(q)
		if off := float64(got-want*time.Millisecond) / float64(want*time.Millisecond); off > .13 || off < -.13 {
			t.Errorf("quantile %v is %v, want about %v ms", q, got, int64(want))
		}
	}
	if again := h.since(&last); again != (counts{}) {
		t.Error("nothing was added, but since gained something")
	}
}

func TestPackedHistogramsMergeBack(t *testing.T) {
	var c, back counts
	c[0], c[5], c[127] = 7, 1<<31, 3
	back.mergePacked(c.pack())
	if back != c {
		t.Errorf("got %v back, want %v", back, c)
	}
	for _, broken := range [][]byte{{0xff}, {1}, {200, 1, 1}, {0x80, 0x80}} {
		back.mergePacked(broken) // must not panic
	}
}

func TestDistributionIsCumulative(t *testing.T) {
	var h histogram
	for i := range 2000 {
		h.add(time.Duration(i) * 100 * time.Microsecond)
	}
	d := h.distribution()
	if d.Count != 2000 || d.Sum != 199_900*time.Millisecond {
		t.Errorf("count %d, sum %v", d.Count, d.Sum)
	}
	if len(d.Cumulative) < 8 {
		t.Errorf("only %d bounds: %v", len(d.Cumulative), d.Cumulative)
	}
	for bound, below := range d.Cumulative {
		if want := min(2000, uint64(bound/100e-6)+1); below > want || below+1 < want {
			t.Errorf("%d durations below %v s, want %d", below, bound, want)
		}
	}
}

// clock is a time that the test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func TestSnapshotCountsWhatWasObserved(t *testing.T) {
	c := &clock{time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	r := New(c.Now)
	acme := r.Org("org_acme")
	for s := range 120 {
		r.Observe(acme, Allowed, 20*time.Millisecond, time.Millisecond)
		if s%2 == 0 {
			r.Observe(acme, Refused, 0, 0)
			r.Refuse("rate_limited")
		}
		r.Observe(nil, Failed, time.Second, time.Millisecond)
		r.Tick()
		c.now = c.now.Add(time.Second)
	}
	for _, rng := range []Range{Range15m, Range1h} {
		snap, err := r.Snapshot(t.Context(), rng, nil)
		if err != nil {
			t.Fatal(err)
		}
		if snap.Allowed != 120 || snap.Refused != 60 || snap.Failed != 120 {
			t.Errorf("%s: got %d allowed, %d refused, %d failed; want 120, 60, 120", rng, snap.Allowed, snap.Refused, snap.Failed)
		}
		if len(snap.Refusals) != 1 || snap.Refusals[0] != (Refusal{"rate_limited", 60}) {
			t.Errorf("%s: refusals %v", rng, snap.Refusals)
		}
		if len(snap.Orgs) != 1 || snap.Orgs[0].Allowed != 120 || snap.Orgs[0].Org != app.OrgID("org_acme") {
			t.Errorf("%s: organizations %+v", rng, snap.Orgs)
		}
		if snap.PerSecond != 2.5 {
			t.Errorf("%s: %v requests a second, want 2.5", rng, snap.PerSecond)
		}
		if snap.P50 < 17*time.Millisecond || snap.P99 < 800*time.Millisecond {
			t.Errorf("%s: p50 %v, p99 %v", rng, snap.P50, snap.P99)
		}
	}
}

func TestOldTrafficLeavesTheRange(t *testing.T) {
	c := &clock{time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	r := New(c.Now)
	r.Observe(nil, Allowed, time.Millisecond, 0)
	r.Tick()
	c.now = c.now.Add(20 * time.Minute)
	r.Tick()
	quarter, _ := r.Snapshot(t.Context(), Range15m, nil)
	hour, _ := r.Snapshot(t.Context(), Range1h, nil)
	if quarter.Requests() != 0 || hour.Requests() != 1 {
		t.Errorf("15m has %d and 1h has %d, want 0 and 1", quarter.Requests(), hour.Requests())
	}
}

func TestOrgsBeyondTheBoundCountInTheWhole(t *testing.T) {
	r := New(time.Now)
	for i := range MaxOrgs {
		r.Org(app.OrgID(app.NewID("org", time.UnixMilli(int64(i)))))
	}
	if r.Org("org_last") != nil {
		t.Error("the bound on organizations does not hold")
	}
	if r.Org("") != nil {
		t.Error("no organization must have no meter")
	}
}

func BenchmarkObserve(b *testing.B) {
	r := New(time.Now)
	org := r.Org("org_a")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Observe(org, Allowed, 5*time.Millisecond, 100*time.Microsecond)
		}
	})
}
