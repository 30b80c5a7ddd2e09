package store

import (
	"reflect"
	"testing"
	"time"

	"gatehouse/app"
)

// A rate that was written before rates had variants reads as it was, and takes
// all that they have now.
func TestAnOlderRateIsRead(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		err := s.system(t.Context(), rateReason, func(tx *tx) error {
			_, err := tx.exec(`INSERT INTO main.rate (model, valid_from, provider, input, output, cache_read, cache_write, max_input, max_output)
				VALUES ('m', 1000, 'Some', '3', '15', '0.3', '', 200000, 64000)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := app.Rate{Model: "m", Provider: "Some", Input: "3", Output: "15", CacheRead: "0.3", MaxInput: 200_000, MaxOutput: 64_000,
			ValidFrom: time.UnixMilli(1000).UTC()}
		if list, err := s.Rates(t.Context()); err != nil || !reflect.DeepEqual(list, []app.Rate{want}) {
			t.Errorf("got %+v, %v, want %+v", list, err, want)
		}
		if done, err := s.UpsertRates(t.Context(), []app.Rate{want}); err != nil || len(done.Unchanged) != 1 {
			t.Errorf("the same again: %+v, %v", done, err)
		}
		newer := want
		newer.Provider, newer.Input, newer.Output, newer.CacheRead, newer.CacheWrite = "Other", "4", "16", "0.4", "5"
		newer.CacheWriteLong, newer.Search, newer.MaxInput, newer.MaxOutput = "8", "0.01", 1_000_000, 128_000
		newer.Variants = []app.RateVariant{{Tier: "flex", Region: "us", AboveInput: 200_000, Input: "2", Output: "8", CacheRead: "0.2", CacheWrite: "2.5", CacheWriteLong: "4"}}
		for _, rate := range []app.Rate{newer, want} {
			done, err := s.UpsertRates(t.Context(), []app.Rate{rate})
			if err != nil || len(done.Updated) != 1 {
				t.Errorf("changed: %+v, %v", done, err)
			}
			if list, err := s.Rates(t.Context()); err != nil || !reflect.DeepEqual(list, []app.Rate{rate}) {
				t.Errorf("changed, got %+v, %v, want %+v", list, err, rate)
			}
		}
	})
}
