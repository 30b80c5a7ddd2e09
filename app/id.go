package app

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// Typed ids keep one noun's id from being passed as another's. Each is a
// prefix and 26 characters: 48 bits of Unix milliseconds and 80 random bits in
// Crockford's base 32, so ids sort by their time of creation.
type (
	OrgID      string // org_…
	KeyID      string // key_…
	RouteID    string // rte_…
	UpstreamID string // ups_…
	OperatorID string // opr_…
)

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// NewID returns a fresh id with the prefix, such as NewID("org", now).
func NewID(prefix string, now time.Time) string {
	var raw [16]byte
	rand.Read(raw[:]) // never fails: crypto/rand aborts the program instead
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint16(raw[0:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(raw[2:6], uint32(ms))
	out := make([]byte, 0, len(prefix)+27)
	out = append(append(out, prefix...), '_')
	hi, lo := binary.BigEndian.Uint64(raw[0:8]), binary.BigEndian.Uint64(raw[8:16])
	for shift := 125; shift >= 0; shift -= 5 {
		out = append(out, crockford[fiveBits(hi, lo, shift)])
	}
	return string(out)
}

// fiveBits reads five bits of the 128-bit number hi·2⁶⁴+lo at the shift.
func fiveBits(hi, lo uint64, shift int) uint64 {
	switch {
	case shift >= 64:
		return hi >> (shift - 64) & 31
	case shift > 59:
		return (lo>>shift | hi<<(64-shift)) & 31
	default:
		return lo >> shift & 31
	}
}
