package keys

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// TouchEvery is how often Run writes the times of last use.
const TouchEvery = 5 * time.Second

// touchStep is the precision of the time of last use in milliseconds. Within
// it a busy key costs one atomic read a request and dirties no cache line.
const touchStep = 1000

// Touch notes when keys were used and writes it to the store in batches,
// forward only. The zero value is not usable; see NewTouch.
type Touch struct {
	store touchStore
	mu    sync.Mutex
	dirty []*Mark                 // marks used since the last flush, each once
	loose map[app.KeyID]time.Time // uses noted without a mark, or not yet written
}

type touchStore interface {
	TouchKeys(ctx context.Context, used map[app.KeyID]time.Time) error
}

// Mark is the time of last use of one key. The gateway holds it in its record
// of the key, so that noting a use needs no look-up.
type Mark struct {
	id     app.KeyID
	touch  *Touch
	at     atomic.Int64 // Unix milliseconds, only forward
	queued atomic.Bool
}

// NewTouch returns a Touch that writes to the store.
func NewTouch(store touchStore) *Touch {
	return &Touch{store: store, loose: map[app.KeyID]time.Time{}}
}

// Mark returns a mark for the key. Several marks of one key do no harm: the
// latest time wins.
func (t *Touch) Mark(id app.KeyID) *Mark { return &Mark{id: id, touch: t} }

// Record notes a use for callers that hold no mark.
func (t *Touch) Record(id app.KeyID, at time.Time) {
	t.mu.Lock()
	later(t.loose, id, at)
	t.mu.Unlock()
}

// Use notes that the key was used at the time. It takes a few nanoseconds, and
// a lock only for the first use of a key since the last flush.
func (m *Mark) Use(at time.Time) {
	ms := at.UnixMilli()
	for {
		last := m.at.Load()
		if ms < last+touchStep && last != 0 {
			return
		}
		if m.at.CompareAndSwap(last, ms) {
			break
		}
	}
	if m.queued.CompareAndSwap(false, true) {
		m.touch.enqueue(m)
	}
}

func (t *Touch) enqueue(m *Mark) {
	t.mu.Lock()
	t.dirty = append(t.dirty, m)
	t.mu.Unlock()
}

// Flush writes what was noted since the last flush. On an error the times stay
// noted for the next one.
func (t *Touch) Flush(ctx context.Context) error {
	used := t.take()
	if len(used) == 0 {
		return nil
	}
	err := t.store.TouchKeys(ctx, used)
	if err != nil {
		t.mu.Lock()
		for id, at := range used {
			later(t.loose, id, at)
		}
		t.mu.Unlock()
	}
	return err
}

// take answers the latest use of each key and forgets them.
func (t *Touch) take() map[app.KeyID]time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	used := t.loose
	for _, m := range t.dirty {
		m.queued.Store(false) // before the read: a use after it queues the mark again
		later(used, m.id, time.UnixMilli(m.at.Load()).UTC())
	}
	clear(t.dirty) // lets the marks of forgotten keys go
	t.dirty, t.loose = t.dirty[:0], map[app.KeyID]time.Time{}
	return used
}

func later(used map[app.KeyID]time.Time, id app.KeyID, at time.Time) {
	if at.After(used[id]) {
		used[id] = at
	}
}

// Run flushes every TouchEvery until the context ends, and once more then. A
// store that is away is logged and tried again.
func (t *Touch) Run(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(TouchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := t.Flush(ctx); err != nil && ctx.Err() == nil {
				log.Warn("cannot write when keys were last used", "err", err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), TouchEvery)
			defer cancel()
			if err := t.Flush(last); err != nil {
				log.Warn("cannot write when keys were last used", "err", err)
			}
			return
		}
	}
}
