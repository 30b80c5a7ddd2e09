package store

import (
	"encoding/binary"
	"math/bits"
	"runtime"
	"slices"
)

const (
	// filterBits is how many bits of filter an id has: about one id in a
	// thousand is taken for another one, which costs the read of a page.
	filterBits = 16
	// lineWords is what a processor fetches at once, 64 bytes: all bits of an id
	// stand in one line.
	lineWords = 8
)

// bloom says of most ids that they are not in a part (a Bloom filter in
// lines). Ids are hashes: the first half chooses the line, so that lines rise
// with ids, and seven times nine bits of the second half choose its bits.
type bloom []uint64

func newBloom(ids int) bloom {
	return make(bloom, lineWords*max(1, (ids*filterBits+64*lineWords-1)/(64*lineWords)))
}

func (b bloom) line(id *[16]byte) *[lineWords]uint64 {
	n, _ := bits.Mul64(head(id), uint64(len(b)/lineWords))
	return (*[lineWords]uint64)(b[n*lineWords:])
}

func (b bloom) add(id *[16]byte) {
	line := b.line(id)
	for h, i := binary.BigEndian.Uint64(id[8:]), 0; i < 7; h, i = h>>9, i+1 {
		line[h>>6&7] |= 1 << (h & 63)
	}
}

// fetchAhead is how many ids' lines are fetched from memory at once.
const fetchAhead = 32

// sift appends the ids that may have been added to maybe. It touches the lines
// of several ids before it looks at any: a processor waits for many lines
// together hardly longer than for one.
func (b bloom) sift(ids [][16]byte, maybe [][16]byte) [][16]byte {
	touched := uint64(0)
	for part := range slices.Chunk(ids, fetchAhead) {
		for i := range part {
			touched |= b.line(&part[i])[0]
		}
		for i := range part {
			if b.may(&part[i]) {
				maybe = append(maybe, part[i])
			}
		}
	}
	runtime.KeepAlive(touched) // or the compiler leaves the touching out
	return maybe
}

// may reports whether the id may have been added. It looks at all bits rather
// than stop at the first that is not set, so that no branch is guessed wrong.
func (b bloom) may(id *[16]byte) bool {
	line, h := b.line(id), binary.BigEndian.Uint64(id[8:])
	all := line[h>>6&7] >> (h & 63)
	all &= line[h>>15&7] >> (h >> 9 & 63)
	all &= line[h>>24&7] >> (h >> 18 & 63)
	all &= line[h>>33&7] >> (h >> 27 & 63)
	all &= line[h>>42&7] >> (h >> 36 & 63)
	all &= line[h>>51&7] >> (h >> 45 & 63)
	all &= line[h>>60&7] >> (h >> 54 & 63)
	return all&1 == 1
}
