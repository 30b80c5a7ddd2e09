package metering_test

import (
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// TestAnOpeningIsOfItsPeriodAlone opens accounts in their period, and long
// after it, as usage does that comes late.
func TestAnOpeningIsOfItsPeriodAlone(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		l := openMeter(t, metering.Options{Store: s})
		for _, at := range []time.Duration{-time.Minute, 0, 20 * time.Minute, 59 * time.Minute, time.Hour} {
			count(t, l, request("org_1", noon.Add(at)), 200)
		}
		closeMeter(t, l)
		account := app.Account{Org: "org_1", Meter: app.MeterRequests, Period: app.PeriodHour, Start: noon.UnixMilli(), End: noon.Add(time.Hour).UnixMilli()}
		for after, want := range map[time.Duration]int64{15 * time.Minute: 1, time.Hour: 3, 90 * 24 * time.Hour: 3} {
			got, err := metering.Reports{Store: s}.Opening(t.Context(), account, noon.Add(after))
			if err != nil || got != want {
				t.Errorf("%s after its start: %d, %v, want %d", after, got, err, want)
			}
		}
	})
}
