package limit

import (
	"testing"
	"time"

	"gatehouse/app"
)

func TestFieldsFollowTheDraft(t *testing.T) {
	clock := newHand()
	a := NewLocal(clock.Now)
	defer a.Close(t.Context())
	minute := a.Cell(OrgCell("org_1", "minute"), named("minute", 100, time.Minute))
	hour := a.Cell(OrgCell("org_1", "hour"), named("hour", 1000, time.Hour))
	keyMinute := a.Cell(KeyCell("org_1", "key_1", "minute"), named("minute", 10, time.Minute))
	trial := named("trial", 1, time.Hour)
	trial.Mode = app.LimitModeDryRun
	dry := a.Cell(OrgCell("org_1", "trial"), trial)
	odd := a.Cell(OrgCell("org_1", "odd"), app.RateLimit{Name: "odd", Requests: 3, Window: app.Duration(1500 * time.Millisecond), Burst: 9})

	rows := []struct {
		about  string
		pass   time.Duration
		units  int64
		cells  []*Cell
		policy string
		state  string
		legacy Legacy // Reset in seconds from the start
	}{
		{"half is left", 0, 50, []*Cell{minute}, `"minute";q=100;w=60`, `"minute";r=50;t=30`, Legacy{100, 50, 30}},
		{"little is left: t is the time to be full", 0, 40, []*Cell{minute}, `"minute";q=100;w=60`, `"minute";r=10;t=54`, Legacy{100, 10, 54}},
		{"much is left: t keeps the rate", 54 * time.Second, 1, []*Cell{minute}, `"minute";q=100;w=60`, `"minute";r=99;t=60`, Legacy{100, 99, 55}},
		{"several, of several scopes", 0, 9, []*Cell{minute, hour, keyMinute},
			`"minute";q=100;w=60, "hour";q=1000;w=3600, "key.minute";q=10;w=60`,
			`"minute";r=90;t=54, "hour";r=991;t=3568, "key.minute";r=1;t=54`, Legacy{10, 1, 54 + 54}},
		{"refused: only what refuses, for as long as it does", 0, 2, []*Cell{minute, hour, keyMinute},
			`"minute";q=100;w=60, "hour";q=1000;w=3600, "key.minute";q=10;w=60`, `"key.minute";r=1;t=6`, Legacy{10, 1, 54 + 54}},
		{"never possible: no time is named", 0, 11, []*Cell{minute, keyMinute},
			`"minute";q=100;w=60, "key.minute";q=10;w=60`, `"key.minute";r=1`, Legacy{10, 1, 54 + 54}},
		{"dry-run is not announced", 0, 1, []*Cell{dry, dry}, ``, ``, Legacy{}},
		{"burst beyond the rate, a window of half seconds", 0, 1, []*Cell{odd}, `"odd";q=3;w=2`, `"odd";r=8;t=4`, Legacy{3, 8, 54 + 1}},
		{"no limits", 0, 1, nil, ``, ``, Legacy{}},
	}
	for _, row := range rows {
		clock.Pass(row.pass)
		d := a.Take(t.Context(), clock.Now(), row.units, row.cells)
		if got := string(AppendPolicy([]byte("x"), row.cells)); got != "x"+row.policy {
			t.Errorf("%s: RateLimit-Policy: %s", row.about, got[1:])
		}
		if got := string(AppendRateLimit([]byte("x"), clock.Now(), row.cells, &d)); got != "x"+row.state {
			t.Errorf("%s: RateLimit: %s", row.about, got[1:])
		}
		legacy, ok := Tightest(clock.Now(), row.cells, &d)
		if ok {
			legacy.Reset -= newHand().at.Unix()
		}
		if legacy != row.legacy {
			t.Errorf("%s: X-RateLimit: %+v", row.about, legacy)
		}
		if retry := Seconds(d.RetryAfter); !d.OK && !d.TooLarge && retry != 6 {
			t.Errorf("%s: Retry-After: %d", row.about, retry)
		}
	}
}

func TestFieldsAllocateNothing(t *testing.T) {
	a := NewLocal(nil)
	defer a.Close(t.Context())
	cells := fiveCells(a, "org_1", 1000)
	buf := make([]byte, 0, 1024)
	now := time.Now()
	d := take(t, a, 1, cells...)
	if got := testing.AllocsPerRun(100, func() {
		AppendPolicy(buf, cells)
		AppendRateLimit(buf, now, cells, &d)
		Tightest(now, cells, &d)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestRefusalNamesTheLimit(t *testing.T) {
	clock := newHand()
	a := NewLocal(clock.Now)
	defer a.Close(t.Context())
	cell := a.Cell(RouteCell("org_1", "rte_1", "minute"), named("minute", 10, time.Minute))
	a.Take(t.Context(), clock.Now(), 10, []*Cell{cell})
	d := a.Take(t.Context(), clock.Now(), 3, []*Cell{cell})
	got := d.Problem(clock.Now())
	want := app.LimitDetail{Name: "minute", Scope: "route", Limit: 10, Remaining: 0, WindowSec: 60, ResetsAt: clock.Now().Add(time.Minute)}
	if got.Kind != app.KindRateLimited || got.Code != "rate_limited" || got.RetryAfter != 18*time.Second || *got.Limit != want {
		t.Errorf("%+v, %+v", got, got.Limit)
	}
	if got.Message != `The route's rate limit "minute" of 10 units per 1m is used up.` || got.Advice != "Wait 18 s before the next request." {
		t.Errorf("%q %q", got.Message, got.Advice)
	}
	if ok := a.Take(t.Context(), clock.Now(), 0, []*Cell{cell}); ok.Problem(clock.Now()) != nil {
		t.Error("a decision that passes has a problem")
	}
}
