package store

import (
	"reflect"
	"testing"
	"time"

	"gatehouse/app"
)

// A rate that was written before rates had variants reads as it was.
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
	})
}
