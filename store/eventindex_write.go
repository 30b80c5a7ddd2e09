package store

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"gatehouse/app"
)

const (
	// stepRows is how many rows one transaction writes, 118 KiB: a request's
	// commit on the same connection waits for one of them at most.
	stepRows   = 30
	removeRows = 128                    // that are deleted in one: their pages need not be written
	indexRetry = 200 * time.Millisecond // after a step that failed
)

// run writes what is due until the index is closed.
func (x *eventIndex) run(ctx context.Context) {
	defer close(x.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-x.due:
		}
		for x.work(ctx) {
		}
	}
}

// work does one thing that is due; false: nothing is, or the index ends.
func (x *eventIndex) work(ctx context.Context) bool {
	if !x.writeFull(ctx) {
		return false
	}
	x.mu.RLock()
	dropped, alike := first(x.dropped), x.alike()
	x.mu.RUnlock()
	switch {
	case dropped != nil:
		return x.remove(ctx, dropped)
	case alike != nil:
		return x.merge(ctx, alike)
	}
	return false
}

func first[T any](list []*T) *T {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// writeFull writes every full table; false: the index ends.
func (x *eventIndex) writeFull(ctx context.Context) bool {
	for {
		x.mu.RLock()
		full := first(x.full)
		x.mu.RUnlock()
		if full == nil {
			return true
		}
		if !x.write(ctx, full) {
			return false
		}
	}
}

// write writes a table as a part, and lets the part answer in its place.
func (x *eventIndex) write(ctx context.Context, t *idTable) bool {
	order := t.sorted()
	p := x.newPart(t.count, t.oldest, t.newest)
	if !x.writePart(ctx, p, t.pages(p, order), nil) ||
		!x.step(ctx, func(tx *tx) error { return tx.endPart(p, t.upTo) }) {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.parts, x.full = append(x.parts, p), x.full[1:]
	select {
	case x.moved <- struct{}{}:
	default:
	}
	return true
}

func (x *eventIndex) newPart(ids int, oldest, newest int64) *idPart {
	p := &idPart{id: x.nextID, count: ids, oldest: oldest, newest: newest, filter: newBloom(ids)}
	x.nextID++
	return p
}

// writePart writes all of a part but its end. Between two steps it does what
// between does; false there ends it.
func (x *eventIndex) writePart(ctx context.Context, p *idPart, pages func() []byte, between func() bool) bool {
	return x.step(ctx, func(t *tx) error { return t.beginPart(p) }) &&
		x.writeRows(ctx, p.id*partPages, pages, between) &&
		x.writeRows(ctx, p.id*partPages+int64(p.pages()), cutUp(p.summary), between)
}

// writeRows writes rows whose numbers follow each other, a few in each
// transaction, until there is no next one.
func (x *eventIndex) writeRows(ctx context.Context, first int64, next func() []byte, between func() bool) bool {
	list := make([][]byte, 0, stepRows)
	for row := next(); row != nil || len(list) > 0; row = next() {
		if row != nil {
			list = append(list, row)
		}
		if row != nil && len(list) < stepRows {
			continue
		}
		if !x.step(ctx, func(t *tx) error { return t.addPages(first, list) }) || between != nil && !between() {
			return false
		}
		first, list = first+int64(len(list)), list[:0]
	}
	return true
}

// cutUp returns rows of what make makes, one after the other, and then nil.
func cutUp(make func() []byte) func() []byte {
	var left []byte
	begun := false
	return func() []byte {
		if !begun {
			left, begun = make(), true
		}
		n := min(len(left), pageEntries*entryBytes)
		if n == 0 {
			return nil
		}
		row := left[:n]
		left = left[n:]
		return row
	}
}

// remove deletes the rows of a part that nobody reads any more.
func (x *eventIndex) remove(ctx context.Context, p *idPart) bool {
	if !x.step(ctx, func(t *tx) error { return t.setPart(p.id, partDropped) }) {
		return false
	}
	for left := int64(1); left > 0; {
		if !x.step(ctx, func(t *tx) (err error) { left, err = t.removePages(p.id, removeRows); return err }) || !x.writeFull(ctx) {
			return false
		}
	}
	if !x.step(ctx, func(t *tx) error { return t.removePart(p.id) }) {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropped = x.dropped[1:]
	return true
}

// step writes something in a transaction of its own, however often it takes:
// each may be done twice, so one whose answer was lost is done again. It gives
// up when the index is closed, or belongs to another process by now.
func (x *eventIndex) step(ctx context.Context, do func(*tx) error) bool {
	for failed := false; ; failed = true {
		started := time.Now()
		err := x.disk.step(ctx, do)
		switch {
		case err == nil:
			x.rest(ctx, time.Since(started))
			return true
		case ctx.Err() != nil:
			return false
		case app.AsError(err).Code == "ledger_fenced":
			x.stop()
			return false
		case !failed:
			x.log.Warn("ids of counted events cannot be written; they stay in memory", "err", err)
		}
		pause(ctx, x.retry)
	}
}

// rest leaves the disk to others for as long as a step took, unless tables
// wait.
func (x *eventIndex) rest(ctx context.Context, took time.Duration) {
	x.mu.RLock()
	hurry := len(x.full) >= maxFull
	x.mu.RUnlock()
	if !hurry {
		pause(ctx, took)
	}
}

func pause(ctx context.Context, d time.Duration) {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

// sorted is the order of the table's ids. The table still answers meanwhile.
func (t *idTable) sorted() []uint32 {
	type place struct {
		head uint64
		at   uint32
	}
	list := make([]place, t.count)
	for i := range list {
		list[i] = place{head(&t.entry(i).id), uint32(i)}
	}
	slices.SortFunc(list, func(a, b place) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return bytes.Compare(t.entry(int(a.at)).id[:], t.entry(int(b.at)).id[:])
	})
	order := make([]uint32, len(list))
	for i := range list {
		order[i] = list[i].at
	}
	return order
}

// pages returns the part's pages one after the other, and then nil.
func (t *idTable) pages(p *idPart, order []uint32) func() []byte {
	return func() []byte {
		n := min(len(order), pageEntries)
		if n == 0 {
			return nil
		}
		row := make([]byte, 0, n*entryBytes)
		for _, at := range order[:n] {
			m := t.mark(int(at))
			row = appendEntry(row, &m)
		}
		order = order[n:]
		p.note(row)
		return row
	}
}
