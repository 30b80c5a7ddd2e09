package traffic

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets grow by a quarter of a power of two, so a percentile is at most
// 12 % off. 128 of them reach from 1 µs to over an hour.
const bucketCount = 128

// histogram counts durations. Adding takes two atomic steps.
type histogram struct {
	buckets [bucketCount]atomic.Uint64
	total   atomic.Int64 // sum of all durations
}

// counts is a histogram at rest: a difference or a sum.
type counts [bucketCount]uint32

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(d)].Add(1)
	h.total.Add(int64(d))
}

// bucketOf is exact below 4 µs, then keeps the two bits after the leading one.
func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < 4 {
		return int(us)
	}
	exponent := bits.Len64(us) - 1
	bucket := (exponent-1)*4 + int(us>>(exponent-2)&3)
	return min(bucket, bucketCount-1)
}

// floorOf is the smallest duration of the bucket.
func floorOf(bucket int) time.Duration {
	if bucket < 4 {
		return time.Duration(bucket) * time.Microsecond
	}
	exponent := bucket/4 + 1
	return time.Duration(uint64(4+bucket%4)<<(exponent-2)) * time.Microsecond
}

// since returns what h gained over last, and moves last there. The lower half
// of a counter is enough for a difference: it may wrap around.
func (h *histogram) since(last *counts) (gained counts) {
	for i := range h.buckets {
		now := uint32(h.buckets[i].Load())
		gained[i] = now - last[i]
		last[i] = now
	}
	return gained
}

func (c *counts) merge(other *counts) {
	for i, n := range other {
		c[i] += n
	}
}

// quantile returns the duration below which the share q of the durations lie,
// interpolated within its bucket; 0 when there are none.
func (c *counts) quantile(q float64) time.Duration {
	var total uint64
	for _, n := range c {
		total += uint64(n)
	}
	if total == 0 {
		return 0
	}
	rank := q * float64(total)
	var below float64
	for i, n := range c {
		if n > 0 && below+float64(n) >= rank {
			low, high := floorOf(i), floorOf(i+1)
			return low + time.Duration((rank-below)/float64(n)*float64(high-low))
		}
		below += float64(n)
	}
	return floorOf(bucketCount)
}

// Distribution is a histogram since the start, as Prometheus reads it.
type Distribution struct {
	Count      uint64
	Sum        time.Duration
	Cumulative map[float64]uint64 // upper bound in seconds → durations below it
}

// distribution reads the histogram at powers of four microseconds: 11 series
// from 64 µs to a minute are enough for a graph.
func (h *histogram) distribution() Distribution {
	d := Distribution{Sum: time.Duration(h.total.Load()), Cumulative: map[float64]uint64{}}
	for i := range h.buckets {
		if us := floorOf(i) / time.Microsecond; us >= 64 && us <= 1<<26 && us&(us-1) == 0 && i%8 == 4 {
			d.Cumulative[floorOf(i).Seconds()] = d.Count
		}
		d.Count += h.buckets[i].Load()
	}
	return d
}

// pack writes the non-empty buckets as pairs of varints: gap, count.
func (c *counts) pack() []byte {
	var out []byte
	last := 0
	for i, n := range c {
		if n > 0 {
			out = binary.AppendUvarint(out, uint64(i-last))
			out = binary.AppendUvarint(out, uint64(n))
			last = i
		}
	}
	return out
}

// mergePacked adds what pack wrote; it ignores what does not read.
func (c *counts) mergePacked(packed []byte) {
	at := uint64(0)
	for len(packed) > 0 {
		gap, n := binary.Uvarint(packed)
		if n <= 0 {
			return
		}
		count, m := binary.Uvarint(packed[n:])
		if m <= 0 {
			return
		}
		if at += gap; at >= bucketCount {
			return
		}
		c[at] += uint32(count)
		packed = packed[n+m:]
	}
}
