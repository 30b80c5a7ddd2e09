package limit

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/store/storetest/each"

	"gatehouse/store"
)

// restart closes an installation's limits and opens them again after a while.
func restart(t *testing.T, clock *hand, cells CellStore, away time.Duration, use func(l *Local)) {
	t.Helper()
	l := NewLocal(clock.Now)
	p, err := Persist(t.Context(), l, cells, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	use(l)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Close(t.Context())
	clock.Pass(away)
}

func TestLimitsOutliveARestart(t *testing.T) {
	each.Store(t, func(t *testing.T, s *store.Store) {
		clock := &hand{time.Now()}
		hour := named("hour", 1000, time.Hour)
		hour.OnLoss = app.FailClosed // not saved, and no reason to begin anew
		second := named("second", 10, time.Second)
		free := func(l *Local) int64 {
			return l.Cell(OrgCell("org_1", "hour"), hour).State(clock.Now()).Remaining
		}
		restart(t, clock, s, 36*time.Second, func(l *Local) {
			cell := l.Cell(OrgCell("org_1", "hour"), hour)
			short := l.Cell(OrgCell("org_1", "second"), second)
			if d := l.Take(t.Context(), clock.Now(), 10, []*Cell{cell, short}); !d.OK {
				t.Fatalf("%+v", d)
			}
			l.Take(t.Context(), clock.Now(), 690, []*Cell{cell})
		})
		restart(t, clock, s, time.Hour, func(l *Local) {
			// 300 were left, and 10 refilled while it was down.
			if got := free(l); got < 309 || got > 310 {
				t.Errorf("%d are left after a restart, where 310 should be", got)
			}
			if got := l.count(); got != 1 {
				t.Errorf("%d cells were saved", got)
			}
		})
		restart(t, clock, s, 0, func(l *Local) {
			if got := free(l); got != 1000 {
				t.Errorf("%d are left after an hour", got)
			}
		})
	})
}

func TestOnlyWhatChangedIsExported(t *testing.T) {
	clock := newHand()
	l := NewLocal(clock.Now)
	defer l.Close(t.Context())
	one := l.Cell(OrgCell("org_1", "minute"), named("minute", 60, time.Minute))
	two := l.Cell("elsewhere/minute", named("minute", 60, time.Minute))
	l.Take(t.Context(), clock.Now(), 5, []*Cell{one, two})
	if got := l.Export(false); len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	if got := l.Export(false); len(got) != 0 {
		t.Errorf("exported again: %+v", got)
	}
	l.Take(t.Context(), clock.Now(), 5, []*Cell{one})
	got := l.Export(false)
	want := app.RateCell{Org: "org_1", Key: one.Key(), Requests: 60, Window: app.Duration(time.Minute), FullAt: clock.Now().Add(10 * time.Second)}
	if len(got) != 1 || got[0] != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := l.Export(true); len(got) != 2 {
		t.Errorf("all: %+v", got)
	}
}

func TestImportIsNotFooled(t *testing.T) {
	clock := newHand()
	l := NewLocal(clock.Now)
	defer l.Close(t.Context())
	minute := named("minute", 60, time.Minute)
	used := l.Cell("org_1/organization/minute", minute)
	l.Take(t.Context(), clock.Now(), 50, []*Cell{used})
	row := app.RateCell{Org: "org_1", Key: used.Key(), Requests: 60, Window: minute.Window, FullAt: clock.Now().Add(time.Second)}
	later := row
	later.Key, later.FullAt = "org_2/organization/minute", clock.Now().Add(1000*time.Hour) // its clock was ahead
	broken := row
	broken.Key, broken.Requests = "org_3/organization/minute", -5
	l.Import([]app.RateCell{row, later, broken})
	if got := used.State(clock.Now()).Remaining; got != 10 {
		t.Errorf("an older state gave units: %d are left", got)
	}
	locked := l.Cell(later.Key, minute)
	if got := locked.State(clock.Now()); got.Remaining != 0 || got.Reset != time.Minute {
		t.Errorf("a state of the far future: %+v", got)
	}
	if l.count() != 2 {
		t.Errorf("%d cells: a broken row was taken", l.count())
	}
}

type failingStore struct{ saved [][]app.RateCell }

func (f *failingStore) RateCells(context.Context) ([]app.RateCell, error) { return nil, nil }
func (f *failingStore) SaveRateCells(_ context.Context, cells []app.RateCell) error {
	f.saved = append(f.saved, cells)
	if len(f.saved) == 1 {
		return errors.New("disk full")
	}
	return nil
}

func TestWhatCouldNotBeSavedIsSavedLater(t *testing.T) {
	clock, f := newHand(), &failingStore{}
	l := NewLocal(clock.Now)
	defer l.Close(t.Context())
	l.Take(t.Context(), clock.Now(), 5, []*Cell{l.Cell("org_1/organization/minute", named("minute", 60, time.Minute))})
	p := &Persister{local: l, store: f}
	if p.save(t.Context()) == nil {
		t.Fatal("a failed save was not told")
	}
	if err := p.save(t.Context()); err != nil || len(f.saved) != 2 || len(f.saved[1]) != 1 {
		t.Errorf("%v, %+v", err, f.saved)
	}
}
