package store

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"gatehouse/app"
)

func TestRateCellsAreSavedUntilTheyAreFull(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		s.now = func() time.Time { return now }
		cell := func(org app.OrgID, name string, full time.Duration) app.RateCell {
			return app.RateCell{Org: org, Key: string(org) + "/organization/" + name, Requests: 100,
				Window: app.Duration(time.Minute), Burst: 7, FullAt: now.Add(full)}
		}
		one, two, none := cell("org_1", "minute", time.Minute), cell("org_2", "minute", time.Hour), cell("", "x", time.Hour)
		gone := cell("org_1", "gone", 0)
		if err := s.SaveRateCells(t.Context(), []app.RateCell{two, one, gone, none}); err != nil {
			t.Fatal(err)
		}
		expect := func(want ...app.RateCell) {
			t.Helper()
			got, err := s.RateCells(t.Context())
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, want)
			}
		}
		expect(none, one, two)

		one.FullAt, one.Requests = now.Add(90*time.Second), 50
		if err := s.SaveRateCells(t.Context(), []app.RateCell{one}); err != nil {
			t.Fatal(err)
		}
		expect(none, one, two)

		now = now.Add(90 * time.Second)
		expect(none, two)
		if err := s.SaveRateCells(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		now = now.Add(-time.Hour)
		expect(none, two) // the full ones are deleted, not only hidden
	})
}

func TestRateCellsRoundUpAndComeInThousands(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		full := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
		cells := make([]app.RateCell, 2*rateCellBatch+1)
		for i := range cells {
			cells[i] = app.RateCell{Org: "org_1", Key: fmt.Sprintf("org_1/%05d", i), Requests: 1,
				Window: app.Duration(time.Hour), FullAt: full.Add(1)}
		}
		if err := s.SaveRateCells(t.Context(), cells); err != nil {
			t.Fatal(err)
		}
		got, err := s.RateCells(t.Context())
		if err != nil || len(got) != len(cells) {
			t.Fatalf("%d of %d cells, %v", len(got), len(cells), err)
		}
		if want := full.Add(time.Millisecond); !got[0].FullAt.Equal(want) {
			t.Errorf("full at %s, want %s", got[0].FullAt, want)
		}
	})
}
