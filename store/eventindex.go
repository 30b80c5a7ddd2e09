package store

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gatehouse/app"
)

// EventIndexOptions are of the index of events on SQLite.
type EventIndexOptions struct {
	// MaxRecent is how many ids are kept in memory, 40 bytes each, before they
	// are written as a part: more make fewer parts to look in, and a longer
	// start after a crash. Default: DefaultMaxRecent. Up to three times as many
	// may wait while the disk is slow.
	MaxRecent int
	// MaxAge is how long they stay there at most, so that ids of one part are
	// forgotten within so long of each other. Default: DefaultMaxRecentAge.
	MaxAge time.Duration
}

// Defaults of EventIndexOptions.
const (
	DefaultMaxRecent    = 1 << 20
	DefaultMaxRecentAge = 24 * time.Hour
)

func (o EventIndexOptions) withDefaults() EventIndexOptions {
	if o.MaxRecent <= 0 {
		o.MaxRecent = DefaultMaxRecent
	}
	if o.MaxAge <= 0 {
		o.MaxAge = DefaultMaxRecentAge
	}
	return o
}

// maxFull is how many full tables may wait to be written before no more events
// are taken.
const maxFull = 2

// eventIndex knows which events are counted, on SQLite, for the one chain that
// writes events there. The blocks of the chains are the truth; the index is
// derived from them and written behind them:
//
//   - recent holds the ids of the last blocks, in memory alone. A start reads
//     them from the blocks after the position.
//   - full are tables that are being written as parts. They still answer.
//   - parts are in the database: in memory is a filter which says of nearly
//     every new id that it is in none. Parts are merged into larger ones, so
//     that few must be asked.
//
// A part and the position of the blocks in it become valid in one transaction.
type eventIndex struct {
	replica int64 // the chain it belongs to
	o       EventIndexOptions
	log     *slog.Logger
	disk    indexDisk
	retry   time.Duration // between tries of a step

	mu      sync.RWMutex
	recent  *idTable
	full    []*idTable // the oldest first
	parts   []*idPart  // the oldest first
	dropped []*idPart  // rows of these are to be deleted
	apart   bool       // parts are not merged: one could not be read
	nextID  int64      // of a part; of the goroutine that writes, once all is recalled

	due   chan struct{} // there is something to write
	moved chan struct{} // full has become shorter
	stop  context.CancelFunc
	ended chan struct{}
}

// errPartGone says that a part was replaced or forgotten while it was read.
var errPartGone = errors.New("the part is gone")

// counted finds which ids are counted, as CountedEvents.
func (x *eventIndex) counted(ctx context.Context, ids [][16]byte) (map[[16]byte]app.EventMark, error) {
	for {
		counted := map[[16]byte]app.EventMark{}
		left, parts := x.inMemory(ids, counted)
		if err := x.inParts(ctx, parts, left, counted); err != errPartGone {
			return counted, err
		}
	}
}

// inParts looks in parts, the newest first, in the order of ids, so that
// filters and pages are read from front to back.
func (x *eventIndex) inParts(ctx context.Context, parts []*idPart, ids [][16]byte, counted map[[16]byte]app.EventMark) error {
	slices.SortFunc(ids, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	for _, p := range slices.Backward(parts) {
		if err := x.inPart(ctx, p, ids, counted); err != nil {
			return err
		}
	}
	return nil
}

// inMemory looks in the tables, and returns what is in none, and where else to
// look.
func (x *eventIndex) inMemory(ids [][16]byte, counted map[[16]byte]app.EventMark) (left [][16]byte, parts []*idPart) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for i := range ids {
		mark, found := x.recent.find(&ids[i])
		for n := len(x.full) - 1; n >= 0 && !found; n-- {
			mark, found = x.full[n].find(&ids[i])
		}
		if found {
			counted[mark.ID] = mark
		} else if len(x.parts) > 0 {
			left = append(left, ids[i])
		}
	}
	return left, x.parts[:len(x.parts):len(x.parts)]
}

// inPart looks in a part: only an id that the filter lets through costs the
// read of a page.
func (x *eventIndex) inPart(ctx context.Context, p *idPart, ids [][16]byte, counted map[[16]byte]app.EventMark) error {
	maybe := p.filter.sift(ids, nil)
	if len(maybe) == 0 {
		return nil
	}
	err := x.disk.find(ctx, p, maybe, func(m app.EventMark) {
		if _, newer := counted[m.ID]; !newer {
			counted[m.ID] = m
		}
	})
	if err != nil && p.dropped.Load() {
		return errPartGone // with its rows
	}
	return err
}

// add takes in the events of a block that is written.
func (x *eventIndex) add(replica, seq, received int64, marks []app.EventMark) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.recent.add(replica, seq, received, marks)
	if n := x.recent.count; n >= x.o.MaxRecent || n > 0 && x.recent.newest-x.recent.oldest > x.o.MaxAge.Milliseconds() {
		x.turn()
	}
}

// turn begins a new table, and has the old one written; the lock is held.
func (x *eventIndex) turn() {
	x.full, x.recent = append(x.full, x.recent), newIDTable()
	x.wake()
}

func (x *eventIndex) wake() {
	select {
	case x.due <- struct{}{}:
	default:
	}
}

// room fails while too much waits to be written.
func (x *eventIndex) room() error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if len(x.full) < maxFull || x.recent.count < x.o.MaxRecent/2 {
		return nil
	}
	return away("event_index_behind", "The ids of counted events cannot be written as fast as events come.", nil)
}

// forget drops what was received before a time, about max ids, and has what is
// getting old written.
func (x *eventIndex) forget(before int64, max int64) (n int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.parts = slices.DeleteFunc(slices.Clone(x.parts), func(p *idPart) bool {
		if n >= max || p.newest >= before {
			return false
		}
		n += int64(p.count)
		p.dropped.Store(true)
		x.dropped = append(x.dropped, p)
		return true
	})
	switch {
	case x.recent.count == 0:
	case x.recent.newest < before:
		n += int64(x.recent.count)
		x.recent = newIDTable() // a start passes its blocks over, for their age
	case x.recent.oldest < before+app.EventLife.Milliseconds()-x.o.MaxAge.Milliseconds():
		x.turn()
	}
	x.wake()
	return n
}

// close ends the goroutine that writes; what is not written yet is read from
// the blocks at the next start.
func (x *eventIndex) close() {
	x.stop()
	<-x.ended
}
