package metering

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

// digest is a sum over rows: of each number times a coefficient that its row
// and its column give. So it can be had from what was added to rows, without
// the rows. Coefficients are random and secret: tables that differ have the
// same digest with a chance of about 1 in 2^64. It counts modulo 2^128.
type digest struct{ high, low uint64 }

func (d *digest) add(coefficient uint64, v int64) {
	size := uint64(v)
	if v < 0 {
		size = -size
	}
	high, low := bits.Mul64(coefficient, size)
	if v < 0 {
		high, low = ^high, ^low
		var carry uint64
		low, carry = bits.Add64(low, 1, 0)
		high += carry
	}
	d.plus(digest{high, low})
}

func (d *digest) plus(o digest) {
	var carry uint64
	d.low, carry = bits.Add64(d.low, o.low, 0)
	d.high, _ = bits.Add64(d.high, o.high, carry)
}

// digester makes coefficients. Each whole reading has one of its own.
type digester struct {
	hash   maphash.Hash // with a random seed
	secret uint64
}

func newDigester() *digester {
	d := &digester{secret: rand.Uint64()}
	d.hash.SetSeed(maphash.MakeSeed())
	return d
}

// row names a row by its texts and a number.
func (d *digester) row(number int64, texts ...string) uint64 {
	var head [8]byte
	d.hash.Reset()
	binary.LittleEndian.PutUint64(head[:], uint64(number))
	d.hash.Write(head[:])
	for _, text := range texts {
		binary.LittleEndian.PutUint64(head[:], uint64(len(text)))
		d.hash.Write(head[:])
		d.hash.WriteString(text)
	}
	return d.hash.Sum64()
}

// of is the digest of a row's numbers.
func (d *digester) of(row uint64, numbers ...int64) (sum digest) {
	for i, v := range numbers {
		if v != 0 {
			sum.add(d.coefficient(row, i), v)
		}
	}
	return sum
}

func (d *digester) coefficient(row uint64, column int) uint64 {
	return mix(row + mix(d.secret+uint64(column)))
}

// all is the hash of a row with numbers that cannot be added up. Hashes of rows
// are added, so that one row can be taken out again.
func (d *digester) all(row uint64, numbers ...int64) uint64 {
	hash := row
	for i, v := range numbers {
		hash = mix(hash + d.coefficient(uint64(v), i))
	}
	return hash
}

// mix is splitmix64's finalizer: every bit of x changes half of the bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
