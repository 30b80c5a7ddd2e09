package store

import (
	"encoding/binary"
	"math"
	"math/bits"

	"gatehouse/app"
)

// idEntry is an id in memory, 28 bytes.
type idEntry struct {
	id    [16]byte
	body  [8]byte
	block uint32 // index into the table's blocks
}

// blockRef names the block that counts an event.
type blockRef struct {
	replica uint32
	seq     uint64
}

const (
	idChunk    = 1 << 13 // entries that are allocated at once
	firstSlots = 1 << 10
)

// idTable keeps ids in memory, in the order in which they came, and finds
// them: 28 bytes an id, 4 to 16 of slots, and 16 a block. Ids are hashes, so
// their first bytes choose the slot; a million takes about 40 MB.
type idTable struct {
	chunks [][]idEntry
	count  int
	slots  []uint32 // position + 1 of an entry; 0 is free; at most half of them taken
	shift  int      // of the id's first 64 bits, to the number of slots
	blocks []blockRef

	upTo           map[int64]int64 // last block of each chain that this table or an older one holds whole
	oldest, newest int64           // received, Unix milliseconds
}

func newIDTable() *idTable {
	return &idTable{slots: make([]uint32, firstSlots), shift: 64 - bits.TrailingZeros(firstSlots), upTo: map[int64]int64{},
		oldest: math.MaxInt64, newest: math.MinInt64}
}

func (t *idTable) entry(i int) *idEntry { return &t.chunks[i/idChunk][i%idChunk] }

// head is what ids are sorted and found by first.
func head(id *[16]byte) uint64 { return binary.BigEndian.Uint64(id[:8]) }

// slot is where the id stands, or the free slot where it would.
func (t *idTable) slot(id *[16]byte) int {
	for s := int(head(id) >> t.shift); ; s = (s + 1) & (len(t.slots) - 1) {
		if at := t.slots[s]; at == 0 || t.entry(int(at-1)).id == *id {
			return s
		}
	}
}

// find tells which block counts the event.
func (t *idTable) find(id *[16]byte) (app.EventMark, bool) {
	at := t.slots[t.slot(id)]
	if at == 0 {
		return app.EventMark{}, false
	}
	return t.mark(int(at - 1)), true
}

func (t *idTable) mark(i int) app.EventMark {
	e := t.entry(i)
	b := t.blocks[e.block]
	return app.EventMark{ID: e.id, Body: e.body, Replica: int64(b.replica), Seq: int64(b.seq)}
}

// add takes in the events of one block, those that it does not know.
func (t *idTable) add(replica, seq, received int64, marks []app.EventMark) {
	if len(marks) > 0 {
		t.blocks = append(t.blocks, blockRef{uint32(replica), uint64(seq)})
		t.oldest, t.newest = min(t.oldest, received), max(t.newest, received)
	}
	for i := range marks {
		t.insert(&marks[i], uint32(len(t.blocks)-1))
	}
	t.upTo[replica] = seq
}

func (t *idTable) insert(m *app.EventMark, block uint32) {
	s := t.slot(&m.ID)
	if t.slots[s] != 0 {
		return
	}
	if t.count%idChunk == 0 {
		t.chunks = append(t.chunks, make([]idEntry, idChunk))
	}
	*t.entry(t.count) = idEntry{m.ID, m.Body, block}
	t.count++
	t.slots[s] = uint32(t.count)
	if 2*t.count > len(t.slots) {
		t.grow()
	}
}

// grow doubles the slots.
func (t *idTable) grow() {
	t.slots, t.shift = make([]uint32, 2*len(t.slots)), t.shift-1
	for i := range t.count {
		t.slots[t.slot(&t.entry(i).id)] = uint32(i + 1)
	}
}
