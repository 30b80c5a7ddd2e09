package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomID looks like an event's id, which is a hash.
func randomID(random *rand.Rand) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], random.Uint64())
	binary.BigEndian.PutUint64(id[8:], random.Uint64())
	return id
}

// BenchmarkEventFilters asks the filters of parts of a million ids each
// whether 2,000 new ids are in them, as a block of events does. It reports
// what one id takes, and how many pages it would read.
func BenchmarkEventFilters(b *testing.B) {
	const ids = 1 << 20
	for _, parts := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(parts), func(b *testing.B) {
			list, random := make([]bloom, parts), rand.New(rand.NewPCG(1, 2))
			for p := range list {
				list[p] = newBloom(ids)
				for range ids {
					id := randomID(random)
					list[p].add(&id)
				}
			}
			asked, maybe := 0, 0
			block := make([][16]byte, 2000)
			for b.Loop() {
				b.StopTimer()
				for i := range block {
					block[i] = randomID(random)
				}
				b.StartTimer()
				slices.SortFunc(block, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
				for _, filter := range list {
					maybe += len(filter.sift(block, nil))
				}
				asked += len(block)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(asked), "ns/id")
			b.ReportMetric(float64(maybe)/float64(asked), "pages/id")
		})
	}
}
