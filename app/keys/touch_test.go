package keys_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
)

func (w *world) used(t *testing.T, id app.KeyID) time.Duration {
	t.Helper()
	k, err := w.Find(t.Context(), operator, "org_a", id)
	if err != nil {
		t.Fatal(err)
	}
	if k.LastUsedAt.IsZero() {
		return -1
	}
	return k.LastUsedAt.Sub(w.now())
}

func TestTouchWritesTheLatestUseForwardOnly(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		touch, now := keys.NewTouch(w.db), w.now()
		a, b, c := w.mint(t, keys.New{Org: "org_a", Name: "a"}), w.mint(t, keys.New{Org: "org_a", Name: "b"}), w.mint(t, keys.New{Org: "org_a", Name: "c"})
		flush := func(ctx context.Context) error { t.Helper(); return touch.Flush(ctx) }

		mark := touch.Mark(a.ID)
		mark.Use(now.Add(time.Minute))
		mark.Use(now) // another goroutine's clock reading, older
		touch.Record(b.ID, now.Add(2*time.Second))
		touch.Record(b.ID, now.Add(time.Second))
		touch.Mark(b.ID).Use(now.Add(5 * time.Second))
		if err := flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[app.KeyID]time.Duration{a.ID: time.Minute, b.ID: 5 * time.Second, c.ID: -1} {
			if got := w.used(t, id); got != want {
				t.Errorf("%s was used at %s, want %s", id, got, want)
			}
		}

		// A use within the second does not count, the next one does again.
		mark.Use(now.Add(time.Minute + 999*time.Millisecond))
		if err := flush(t.Context()); err != nil || w.used(t, a.ID) != time.Minute {
			t.Errorf("after less than a second: %s, %v", w.used(t, a.ID), err)
		}
		mark.Use(now.Add(2 * time.Minute))
		if err := flush(t.Context()); err != nil || w.used(t, a.ID) != 2*time.Minute {
			t.Errorf("after a minute: %s, %v", w.used(t, a.ID), err)
		}

		// While the store is away nothing is lost.
		away, cancel := context.WithCancel(t.Context())
		cancel()
		mark.Use(now.Add(3 * time.Minute))
		if err := flush(away); err == nil {
			t.Fatal("the store answered a cancelled call")
		}
		touch.Record(c.ID, now.Add(time.Second))
		if err := flush(t.Context()); err != nil || w.used(t, a.ID) != 3*time.Minute || w.used(t, c.ID) != time.Second {
			t.Errorf("after the store came back: %s, %s, %v", w.used(t, a.ID), w.used(t, c.ID), err)
		}
	})
}

// However many requests use however many keys while flushes run, the last use
// of each is written in the end.
func TestTouchLosesNoUse(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		touch, now := keys.NewTouch(w.db), w.now()
		var ids []app.KeyID
		for range 5 {
			ids = append(ids, w.mint(t, keys.New{Org: "org_a", Name: "x"}).ID)
		}
		var users, flusher sync.WaitGroup
		stop := make(chan struct{})
		flusher.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if err := touch.Flush(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
		for n, id := range ids {
			mark := touch.Mark(id)
			for range 2 {
				users.Go(func() {
					for second := range 2000 {
						mark.Use(now.Add(time.Duration(second+n) * time.Second))
					}
				})
			}
		}
		users.Wait()
		close(stop)
		flusher.Wait()
		if err := touch.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for n, id := range ids {
			if got, want := w.used(t, id), time.Duration(1999+n)*time.Second; got != want {
				t.Errorf("%s was used at %s, want %s", id, got, want)
			}
		}
	})
}

func TestRunFlushesAtItsEnd(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		touch, k := keys.NewTouch(w.db), w.mint(t, keys.New{Org: "org_a", Name: "x"})
		touch.Record(k.ID, w.now().Add(time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		touch.Run(ctx, slog.New(slog.DiscardHandler))
		if got := w.used(t, k.ID); got != time.Second {
			t.Errorf("used at %s", got)
		}
	})
}

func BenchmarkMarkUse(b *testing.B) {
	touch := keys.NewTouch(nil)
	mark, now := touch.Mark("key_1"), time.Now()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			mark.Use(now)
		}
	})
}
