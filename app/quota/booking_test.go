package quota_test

import (
	"testing"

	"gatehouse/app"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// bookedOn adds up what is booked on acme's accounts.
func (d *desk) bookedOn(t *testing.T) (sum int64) {
	t.Helper()
	for _, a := range states(t, d.n.store, d.clock.now()) {
		sum += a.Booked
	}
	return sum
}

func (d *desk) extends(t *testing.T, id string, more int64, code string) {
	t.Helper()
	if _, err := d.Extend(t.Context(), itsKey, id, 0, more, 0); codeOf(err) != code {
		t.Fatalf("extend by %d: %v, want %q", more, err, code)
	}
}

func TestAReservationGrowsWithinTheQuotasThatHoldNow(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		d := opened(t, o, "documents", 100)
		r := d.reserve(t, 50)
		d.plan.TimeZone = "Asia/Kolkata" // so the month is another account's
		d.extends(t, r.ID, 51, "quota_exhausted")
		d.extends(t, r.ID, 30, "")
		d.extends(t, r.ID, 20, "")
		d.extends(t, r.ID, 1, "quota_exhausted")
		if got := d.bookedOn(t); got != 200 {
			t.Errorf("%d are booked on both months, want 100 on each", got)
		}
		if _, err := d.Release(t.Context(), itsKey, r.ID); err != nil {
			t.Fatal(err)
		}
		if got := d.bookedOn(t); got != 0 {
			t.Errorf("%d stay booked after the release", got)
		}
	})
}

func TestAReservationIsBookedOnAQuotaThatBeginsLate(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		d := opened(t, o, "documents", 1000)
		r := d.reserve(t, 50)
		daily := app.Quota{Meter: "documents", Limit: 60, Period: app.PeriodDay}
		d.plan.Quotas = append(d.plan.Quotas, daily)
		d.extends(t, r.ID, 11, "quota_exhausted")
		d.extends(t, r.ID, 10, "")
		if _, err := d.Reserve(t.Context(), itsKey, quota.NewReservation{Meter: "documents", Amount: 1}); codeOf(err) != "quota_exhausted" {
			t.Errorf("the day's quota is booked: %v", err)
		}
		d.plan.Quotas = nil // gone: nothing stops it
		d.extends(t, r.ID, 5000, "")
	})
}
