package store

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sort"
	"sync/atomic"

	"gatehouse/app"
)

// A page holds entries of 36 bytes each, sorted by id:
//
//	id       16 bytes
//	body      8 bytes
//	replica   4 bytes, and
//	seq       8 bytes, big endian: the block that counts it
//
// 112 of them and the row's own few bytes fill one page of SQLite's, which
// holds 4,061 bytes of a row.
const (
	entryBytes  = 36
	pageEntries = 112
	partPages   = 1 << 32 // numbers of pages that a part may have
)

func appendEntry(out []byte, m *app.EventMark) []byte {
	out = append(append(out, m.ID[:]...), m.Body[:]...)
	out = binary.BigEndian.AppendUint32(out, uint32(m.Replica))
	return binary.BigEndian.AppendUint64(out, uint64(m.Seq))
}

// findEntry looks for an id in a page.
func findEntry(page []byte, id *[16]byte) (m app.EventMark, found bool) {
	n := len(page) / entryBytes
	i := sort.Search(n, func(i int) bool { return bytes.Compare(page[i*entryBytes:][:16], id[:]) >= 0 })
	if i == n || !bytes.Equal(page[i*entryBytes:][:16], id[:]) {
		return m, false
	}
	return readEntry(page[i*entryBytes:]), true
}

func readEntry(raw []byte) (m app.EventMark) {
	copy(m.ID[:], raw)
	copy(m.Body[:], raw[16:])
	m.Replica, m.Seq = int64(binary.BigEndian.Uint32(raw[24:])), int64(binary.BigEndian.Uint64(raw[28:]))
	return m
}

// idPart is what is kept in memory of a part: about 2.1 bytes an id.
type idPart struct {
	id             int64
	count          int
	oldest, newest int64 // received, Unix milliseconds
	filter         bloom
	firsts         [][16]byte // of each page, its first id
	dropped        atomic.Bool
}

// pages is how many pages the part has.
func (p *idPart) pages() int { return (p.count + pageEntries - 1) / pageEntries }

// note takes in the next page of a part that is being written.
func (p *idPart) note(page []byte) {
	p.firsts = append(p.firsts, [16]byte(page))
	for ; len(page) > 0; page = page[entryBytes:] {
		p.filter.add((*[16]byte)(page))
	}
}

// page is the row that would hold the id.
func (p *idPart) page(id *[16]byte) int64 {
	n, found := slices.BinarySearchFunc(p.firsts, id, func(first [16]byte, id *[16]byte) int { return bytes.Compare(first[:], id[:]) })
	if !found {
		n = max(n-1, 0)
	}
	return p.id*partPages + int64(n)
}

// summary is what is written of a part behind its pages: the filter and the
// pages' first ids.
func (p *idPart) summary() []byte {
	out := make([]byte, 0, 8*len(p.filter)+16*len(p.firsts))
	for _, w := range p.filter {
		out = binary.LittleEndian.AppendUint64(out, w)
	}
	for i := range p.firsts {
		out = append(out, p.firsts[i][:]...)
	}
	return out
}

// restore reads the part's summary; not ok: it is none.
func (p *idPart) restore(raw []byte) (ok bool) {
	pages := p.pages()
	words := (len(raw) - 16*pages) / 8
	if words < lineWords || words%lineWords != 0 || 8*words+16*pages != len(raw) {
		return false
	}
	p.filter, p.firsts = make(bloom, words), make([][16]byte, pages)
	for i := range p.filter {
		p.filter[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	for i := range p.firsts {
		copy(p.firsts[i][:], raw[8*words+16*i:])
	}
	return true
}
