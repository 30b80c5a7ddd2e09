package store

import (
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/traffic"
)

func TestTrafficOutlivesTheNode(t *testing.T) {
	eachStore(t, func(t *testing.T, _ *Store, again Options) {
		now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		again.Now = clock
		s := openStore(t, again)
		for _, replica := range []string{"first", "second"} {
			r, past := traffic.New(clock), &traffic.History{Store: s, Replica: replica}
			acme := r.Org("org_acme")
			for range 10 {
				r.Observe(acme, traffic.Allowed, 8*time.Millisecond, time.Millisecond)
			}
			r.Observe(acme, traffic.Refused, 0, 0)
			r.Refuse("rate_limited")
			r.Tick()
			for range 2 { // saving twice must not count twice
				if err := r.Save(t.Context(), past); err != nil {
					t.Fatal(err)
				}
			}
			r.Observe(acme, traffic.Failed, time.Second, time.Millisecond)
			r.Tick()
			if err := r.Save(t.Context(), past); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(10 * time.Minute)
		third := traffic.New(clock)
		for _, rng := range []traffic.Range{traffic.Range15m, traffic.Range1h, traffic.Range24h, traffic.Range30d} {
			snap, err := third.Snapshot(t.Context(), rng, &traffic.History{Store: s, Replica: "third"})
			if err != nil {
				t.Fatal(err)
			}
			if snap.Allowed != 20 || snap.Refused != 2 || snap.Failed != 2 {
				t.Errorf("%s: %d allowed, %d refused, %d failed; want 20, 2, 2", rng, snap.Allowed, snap.Refused, snap.Failed)
			}
			if len(snap.Refusals) != 1 || snap.Refusals[0].Count != 2 {
				t.Errorf("%s: refusals %v", rng, snap.Refusals)
			}
			if len(snap.Orgs) != 1 || snap.Orgs[0].Org != app.OrgID("org_acme") || snap.Orgs[0].Allowed != 20 {
				t.Errorf("%s: organizations %+v", rng, snap.Orgs)
			}
			if snap.P50 < 7*time.Millisecond || snap.P50 > 9*time.Millisecond {
				t.Errorf("%s: p50 %v, want about 8ms", rng, snap.P50)
			}
		}
		now = now.Add(72 * time.Hour)
		if err := s.SaveTraffic(t.Context(), false, nil, nil); err != nil {
			t.Fatal(err)
		}
		if left, err := s.Traffic(t.Context(), false, time.Time{}, ""); err != nil || len(left) != 0 {
			t.Errorf("minutes past keeping are still there: %v, %v", left, err)
		}
		if left, err := s.Traffic(t.Context(), true, time.Time{}, ""); err != nil || len(left) != 2 {
			t.Errorf("hours must stay: %v, %v", left, err)
		}
	})
}
