package app

import (
	"math/rand/v2"
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// TestPeriodsTileTime checks for thousands of random times, anchors and zones
// that periods hold the time they are asked for, touch each other, and are as
// long as they may be.
func TestPeriodsTileTime(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const day = 24 * time.Hour
	lengths := map[QuotaPeriod][2]time.Duration{
		PeriodMinute: {time.Minute, time.Minute}, PeriodHour: {time.Hour, time.Hour},
		PeriodDay:     {22 * time.Hour, 26 * time.Hour}, // clocks are moved
		PeriodMonth:   {28*day - 2*time.Hour, 31*day + 2*time.Hour},
		PeriodBilling: {28*day - 2*time.Hour, 31*day + 2*time.Hour},
	}
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu",
		"Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "America/Havana", "Asia/Beirut", "America/Asuncion", "Antarctica/Troll", "Pacific/Apia", "Pacific/Chatham"} {
		z := zone(t, name)
		for range 2000 {
			at := time.Unix(1_600_000_000+random.Int64N(400_000_000), random.Int64N(1e9))
			anchor := time.Unix(1_600_000_000+random.Int64N(400_000_000), 0)
			for period, length := range lengths {
				start, end := period.Bounds(at, z, anchor)
				if start.After(at) || !end.After(at) {
					t.Fatalf("%s %s in %s, anchor %s: %s – %s does not hold it", period, at, name, anchor, start, end)
				}
				if long := end.Sub(start); long < length[0] || long > length[1] {
					t.Fatalf("%s %s in %s, anchor %s: %s – %s is %s long", period, at, name, anchor, start, end, long)
				}
				if again, _ := period.Bounds(end, z, anchor); !again.Equal(end) {
					t.Fatalf("%s %s in %s, anchor %s: the next begins at %s, not %s", period, at, name, anchor, again, end)
				}
				if _, before := period.Bounds(start.Add(-1), z, anchor); !before.Equal(start) {
					t.Fatalf("%s %s in %s, anchor %s: the one before ends at %s, not %s", period, at, name, anchor, before, start)
				}
			}
		}
	}
}

func TestBillingPeriodsOfLateDays(t *testing.T) {
	day := func(text string) time.Time {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct{ anchor, at, start, end string }{
		{"2026-01-31", "2026-02-27", "2026-01-31", "2026-02-28"},
		{"2026-01-31", "2026-02-28", "2026-02-28", "2026-03-31"},
		{"2026-01-31", "2026-04-30", "2026-04-30", "2026-05-31"},
		{"2026-01-30", "2026-03-01", "2026-02-28", "2026-03-30"},
		{"2026-01-29", "2026-03-28", "2026-02-28", "2026-03-29"},
		{"2024-02-29", "2028-02-29", "2028-02-29", "2028-03-29"},
		{"2024-02-29", "2026-02-28", "2026-02-28", "2026-03-29"},
		{"2026-06-15", "2026-06-14", "2026-05-15", "2026-06-15"}, // before the organization was there
		{"2025-12-31", "2026-01-01", "2025-12-31", "2026-01-31"},
	} {
		start, end := PeriodBilling.Bounds(day(c.at), time.UTC, day(c.anchor).Add(9*time.Hour))
		if !start.Equal(day(c.start)) || !end.Equal(day(c.end)) {
			t.Errorf("anchor %s, at %s: %s – %s, want %s – %s", c.anchor, c.at, start, end, c.start, c.end)
		}
	}
}

func TestAnHourThatIsMissingOrTwiceBelongsToItsDay(t *testing.T) {
	z := zone(t, "Europe/Berlin")
	for at, hours := range map[string]float64{"2026-03-29T12:00:00Z": 23, "2026-10-25T12:00:00Z": 25, "2026-11-24T12:00:00Z": 24} {
		when, _ := time.Parse(time.RFC3339, at)
		if start, end := PeriodDay.Bounds(when, z, when); end.Sub(start).Hours() != hours {
			t.Errorf("%s: %s – %s", at, start, end)
		}
	}
}

func TestCeilings(t *testing.T) {
	for _, c := range []struct{ limit, grace, want int64 }{
		{100, 0, 100}, {100, 10, 110}, {99, 10, 108}, {0, 100, 0}, {MaxQuotaLimit, 100, 2 * MaxQuotaLimit},
	} {
		if got := (Quota{Limit: c.limit, Grace: c.grace}).Ceiling(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
