package store

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// Every new id asks the filter of every part, which costs a fetch from memory
// each: of 100 parts 5 µs. So parts are merged, eight into one, and eight of
// those again: of 100 million ids there are about ten. Each id is written three
// times in all.
const (
	mergeParts = 8
	maxMerged  = 64 // tables' worth of ids in one part: merging more would take minutes
	// maxSpan bounds how much longer than promised an id is remembered: a part
	// is forgotten with the newest id in it.
	maxSpan = 4 * 24 * time.Hour
)

// alike finds parts to merge: neighbours of about the same size; the lock is
// held.
func (x *eventIndex) alike() []*idPart {
	for i := 0; i+mergeParts <= len(x.parts) && !x.apart; i++ {
		if list := x.parts[i : i+mergeParts]; x.mergeable(list) {
			return list[:mergeParts:mergeParts]
		}
	}
	return nil
}

func (x *eventIndex) mergeable(list []*idPart) bool {
	ids := 0
	for _, p := range list {
		if x.level(p) != x.level(list[0]) {
			return false
		}
		ids += p.count
	}
	span := time.Duration(list[len(list)-1].newest-list[0].oldest) * time.Millisecond
	return ids <= 2*maxMerged*x.o.MaxRecent && x.level(list[0]) < 2 && span <= maxSpan
}

// level is how often the part was merged, by its size.
func (x *eventIndex) level(p *idPart) (n int) {
	for ids := p.count; ids >= mergeParts/2*x.o.MaxRecent; ids /= mergeParts {
		n++
	}
	return n
}

// merge writes a part with the ids of others and lets it answer in their place.
// Rows of parts that are forgotten meanwhile stay until it is done.
func (x *eventIndex) merge(ctx context.Context, others []*idPart) bool {
	m := merger{index: x}
	ids, oldest, newest := 0, others[0].oldest, others[0].newest
	for _, o := range others {
		ids, oldest, newest = ids+o.count, min(oldest, o.oldest), max(newest, o.newest)
		m.from = append(m.from, &partReader{part: o})
	}
	m.part = x.newPart(ids, oldest, newest)
	next := func() []byte { return m.page(ctx) }
	written := x.writePart(ctx, m.part, next, func() bool { return m.err == nil && x.writeFull(ctx) })
	if m.err != nil && ctx.Err() == nil {
		return x.abandon(m.part, m.err)
	}
	if !written || !x.step(ctx, func(t *tx) error { return t.endMerged(m.part, others) }) {
		return false
	}
	x.replace(others, m.part)
	return true
}

// replace lets a part answer in the place of others, whose rows are deleted
// then.
func (x *eventIndex) replace(others []*idPart, by *idPart) {
	x.mu.Lock()
	defer x.mu.Unlock()
	place := slices.IndexFunc(x.parts, func(p *idPart) bool { return slices.Contains(others, p) })
	parts := slices.DeleteFunc(slices.Clone(x.parts), func(p *idPart) bool { return slices.Contains(others, p) })
	x.parts = slices.Insert(parts, max(place, 0), by)
	for _, o := range others {
		if !o.dropped.Swap(true) {
			x.dropped = append(x.dropped, o)
		}
	}
}

// abandon gives up merging, until the next start: a page cannot be read. What
// was written of the new part is deleted, and the old ones stay.
func (x *eventIndex) abandon(p *idPart, cause error) bool {
	x.log.Warn("parts of the index of counted events cannot be merged", "err", cause)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.apart = true
	p.dropped.Store(true)
	x.dropped = append(x.dropped, p)
	return true
}

// merger reads parts as one.
type merger struct {
	index *eventIndex
	part  *idPart // what becomes of them
	from  []*partReader
	err   error
}

// partReader is how far a part has been read.
type partReader struct {
	part *idPart
	read int    // pages
	page []byte // what is left of the last one
}

// page is the next page of the new part; nil: there is none, or err says why.
func (m *merger) page(ctx context.Context) []byte {
	row := make([]byte, 0, pageEntries*entryBytes)
	for len(row) < cap(row) && m.err == nil {
		from := m.least(ctx)
		if from == nil {
			break
		}
		row = append(row, from.page[:entryBytes]...)
		from.page = from.page[entryBytes:]
	}
	if len(row) == 0 || m.err != nil {
		return nil
	}
	m.part.note(row)
	return row
}

// least is the reader that stands at the least id; nil: all have ended.
func (m *merger) least(ctx context.Context) (least *partReader) {
	for _, r := range m.from {
		if len(r.page) == 0 && r.read < r.part.pages() && m.err == nil {
			r.page, m.err = m.index.disk.read(ctx, r.part.id*partPages+int64(r.read))
			r.read++
		}
		if len(r.page) > 0 && (least == nil || bytes.Compare(r.page[:16], least.page[:16]) < 0) {
			least = r
		}
	}
	return least
}
