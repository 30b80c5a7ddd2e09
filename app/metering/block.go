package metering

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"

	"gatehouse/app"
)

// A block's bytes, all integers as LEB128 (encoding/binary's varints; signed
// ones zigzag):
//
//	magic      "GHB" and the format's number, 1
//	replica    uvarint, then seq uvarint: who wrote it, and which of its blocks it is
//	link       uvarint replica, uvarint seq, 32 bytes hash: the block before
//	base       varint: Unix milliseconds; times in records are relative to it
//	texts      uvarint count, then each text (see text.go)
//	series     uvarint count, then three indexes into texts each: org, key, route
//	sections   a kind, a uvarint count, and as many records, until the checksum
//	checksum   CRC-32C of all before, little endian
//
// Sections of the kinds 8 and 9 list what the records after them point into;
// block_meter.go tells the kinds from 3 on. A section of a kind that the
// reader does not know is an error: a program that cannot read a record must
// not sum what it can.
const (
	blockMagic  = "GHB\x01"
	checksumLen = 4
)

// Kinds of record that each request has.
const (
	kindIntent = 1 // series uvarint, time varint, weight varint (-1: it is no request)
	kindSettle = 2 // series, blocks back, index: uvarints; bucket, status, bytes in, bytes out, µs: varints
)

// Bounds of what a record holds, so that sums of them fit 63 bits for as long
// as anyone counts. Larger values are cut.
const (
	maxWeight   = 1e9     // units of one request, as app.Route allows
	maxBytes    = 1 << 50 // bytes of one request: a pebibyte
	maxDuration = 1e13    // microseconds of one request: 115 days
	maxStatus   = 999     // HTTP's three digits
	maxMillis   = 1 << 58 // a time in Unix milliseconds, either way from 1970
	maxDistance = 1 << 40 // buckets between two such times
)

// weightOfMore is the weight of an INTENT that is no request: app.Intent.More.
const weightOfMore = -1

// bucketMillis is app.BucketLength in Unix milliseconds.
const bucketMillis = int64(app.BucketLength / 1e6)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Series names what a record is counted under.
type Series struct {
	Org   app.OrgID
	Key   app.KeyID
	Route app.RouteID
}

// Intent is the record of a request that passed the gate.
type Intent struct {
	Series int   // index into the block's series
	At     int64 // Unix milliseconds
	Weight int64
}

// More reports whether it holds more for a request that runs, and is none.
func (r *Intent) More() bool { return r.Weight == weightOfMore }

// Settle is the record of how a request ended. It repeats what it belongs to,
// so that summing needs no other block.
type Settle struct {
	Series    int
	IntentSeq int64 // the block that holds the INTENT, of the same replica
	Index     int64 // which of that block's INTENTs it is
	Bucket    int64 // start of the INTENT's bucket, Unix milliseconds
	Status    int64 // HTTP status; 0: none was sent
	BytesIn   int64
	BytesOut  int64
	Micros    int64 // duration in microseconds
}

// Block is what one commit writes.
type Block struct {
	Replica int64
	Seq     int64 // 1, 2, 3 … without a gap in each replica
	Link    app.LedgerLink
	Base    int64
	Series  []Series
	Intents []Intent
	Settles []Settle

	Meters   []MeterSeries
	Accounts []app.Account
	Uses     []Use
	Holds    []Hold
	Draws    []Draw
	Events   []Event
	Adjusts  []Adjust
}

// encoder turns blocks into bytes; it keeps its memory from one to the next.
type encoder struct {
	out   []byte
	index map[string]uint64
	texts []string
	refs  []uint64 // of texts: of series, meters, accounts, events, adjusts
	next  int      // the first of refs that is not yet written
}

// encode returns the block's bytes, which are valid until the next call, and
// their hash.
func (e *encoder) encode(b *Block) ([]byte, [32]byte) {
	e.out = append(e.out[:0], blockMagic...)
	e.numbers(uint64(b.Replica), uint64(b.Seq), uint64(b.Link.Replica), uint64(b.Link.Seq))
	e.out = append(e.out, b.Link.Hash[:]...)
	e.out = binary.AppendVarint(e.out, b.Base)
	e.series(b)
	if len(b.Intents) > 0 {
		e.numbers(kindIntent, uint64(len(b.Intents)))
		e.intents(b)
	}
	if len(b.Settles) > 0 {
		e.numbers(kindSettle, uint64(len(b.Settles)))
		e.settles(b)
	}
	if b.metered() {
		e.metered(b)
	}
	e.out = binary.LittleEndian.AppendUint32(e.out, crc32.Checksum(e.out, castagnoli))
	return e.out, sha256.Sum256(e.out)
}

func (e *encoder) numbers(values ...uint64) {
	for _, v := range values {
		e.out = binary.AppendUvarint(e.out, v)
	}
}

// series writes the dictionary: every text once.
func (e *encoder) series(b *Block) {
	e.index = emptied(e.index)
	e.texts, e.refs = e.texts[:0], e.refs[:0]
	for i := range b.Series {
		s := &b.Series[i]
		e.refs = append(e.refs, e.text(string(s.Org)), e.text(string(s.Key)), e.text(string(s.Route)))
	}
	if b.metered() {
		e.meterTexts(b)
	}
	e.out = binary.AppendUvarint(e.out, uint64(len(e.texts)))
	for _, text := range e.texts {
		e.out = appendText(e.out, text)
	}
	e.out = binary.AppendUvarint(e.out, uint64(len(b.Series)))
	e.next = 0
	e.write(3 * len(b.Series))
}

// write writes the next so many refs.
func (e *encoder) write(refs int) {
	for _, ref := range e.refs[e.next : e.next+refs] {
		e.out = binary.AppendUvarint(e.out, ref)
	}
	e.next += refs
}

func (e *encoder) text(text string) uint64 {
	ref, known := e.index[text]
	if !known {
		ref = uint64(len(e.texts))
		e.texts = append(e.texts, text)
		e.index[text] = ref
	}
	return ref
}

func (e *encoder) intents(b *Block) {
	out := e.out
	for i := range b.Intents {
		r := &b.Intents[i]
		out = binary.AppendUvarint(out, uint64(r.Series))
		out = binary.AppendVarint(out, r.At-b.Base)
		out = binary.AppendVarint(out, r.Weight)
	}
	e.out = out
}

func (e *encoder) settles(b *Block) {
	out, base := e.out, app.BucketStart(b.Base)
	for i := range b.Settles {
		r := &b.Settles[i]
		out = binary.AppendUvarint(out, uint64(r.Series))
		out = binary.AppendUvarint(out, uint64(b.Seq-r.IntentSeq))
		out = binary.AppendUvarint(out, uint64(r.Index))
		out = binary.AppendVarint(out, (r.Bucket-base)/bucketMillis)
		out = binary.AppendVarint(out, r.Status)
		out = binary.AppendVarint(out, r.BytesIn)
		out = binary.AppendVarint(out, r.BytesOut)
		out = binary.AppendVarint(out, r.Micros)
	}
	e.out = out
}

// between cuts a value to what a record may hold.
func between(low, value, high int64) int64 { return min(max(value, low), high) }

// millis is a time that a block can hold, so that differences of two never
// overflow.
func millis(ms int64) int64 { return between(-maxMillis, ms, maxMillis) }
