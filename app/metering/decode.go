package metering

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"gatehouse/app"
)

// What can be wrong with a block's bytes.
var (
	errChecksum = errors.New("the checksum does not match: bytes were changed or cut")
	errFormat   = errors.New("not a block of this format")
	errNewer    = errors.New("it holds records of a newer version of Gatehouse")
	errShape    = errors.New("its contents contradict each other")
)

// Decode reads a block's bytes into b and reuses b's memory. It never takes
// more memory than a small multiple of what the bytes themselves take.
func (b *Block) Decode(body []byte) error {
	if len(body) < len(blockMagic)+checksumLen || string(body[:len(blockMagic)]) != blockMagic {
		return errFormat
	}
	content := body[:len(body)-checksumLen]
	if crc32.Checksum(content, castagnoli) != binary.LittleEndian.Uint32(body[len(content):]) {
		return errChecksum
	}
	return b.decode(content)
}

// decode reads the bytes before the checksum.
func (b *Block) decode(content []byte) error {
	d := decoder{in: content[len(blockMagic):]}
	b.Replica, b.Seq = d.count(), d.count()
	b.Link.Replica, b.Link.Seq = d.count(), d.count()
	copy(b.Link.Hash[:], d.take(len(b.Link.Hash)))
	if b.Base = d.signed(); b.Base != millis(b.Base) {
		d.fail(errShape)
	}
	b.empty()
	b.series(&d)
	for d.err == nil && len(d.in) > 0 {
		switch kind := d.unsigned(); kind {
		case kindIntent:
			b.intents(&d)
		case kindSettle:
			b.settles(&d)
		default:
			b.section(&d, kind)
		}
	}
	return d.err
}

func (b *Block) series(d *decoder) {
	d.texts = make([]string, d.items(1))
	for i := range d.texts {
		d.texts[i] = d.text()
	}
	for range d.items(3) {
		b.Series = append(b.Series, Series{app.OrgID(d.pick()), app.KeyID(d.pick()), app.RouteID(d.pick())})
	}
}

func (b *Block) intents(d *decoder) {
	for range d.items(3) {
		r := Intent{Series: d.below(len(b.Series)), At: b.Base + d.signed(), Weight: d.signed()}
		if r.At != millis(r.At) || r.Weight != between(weightOfMore, r.Weight, maxWeight) {
			d.fail(errShape)
		}
		b.Intents = append(b.Intents, r)
	}
}

func (b *Block) settles(d *decoder) {
	base := app.BucketStart(b.Base)
	for range d.items(8) {
		r := Settle{Series: d.below(len(b.Series)), IntentSeq: b.Seq - d.count(), Index: d.count()}
		distance := d.signed()
		r.Bucket = base + distance*bucketMillis
		r.Status, r.BytesIn, r.BytesOut, r.Micros = d.signed(), d.signed(), d.signed(), d.signed()
		if distance != between(-maxDistance, distance, maxDistance) || !r.bounded() {
			d.fail(errShape)
		}
		b.Settles = append(b.Settles, r)
	}
}

// bounded reports whether the record holds what fill would have written.
func (r *Settle) bounded() bool {
	return r.IntentSeq > 0 && r.Status == between(0, r.Status, maxStatus) &&
		r.BytesIn == between(0, r.BytesIn, maxBytes) && r.BytesOut == between(0, r.BytesOut, maxBytes) &&
		r.Micros == between(0, r.Micros, maxDuration)
}

// decoder reads values from bytes; after the first error it reads zeros.
type decoder struct {
	in    []byte
	texts []string // the block's dictionary
	err   error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.in = nil
}

func (d *decoder) unsigned() uint64 {
	v, n := binary.Uvarint(d.in)
	if n <= 0 {
		d.fail(errShape)
		return 0
	}
	d.in = d.in[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.in)
	if n <= 0 {
		d.fail(errShape)
		return 0
	}
	d.in = d.in[n:]
	return v
}

// count reads a number that is never negative and far from overflowing.
func (d *decoder) count() int64 {
	v := d.unsigned()
	if v > 1<<62 {
		d.fail(errShape)
		return 0
	}
	return int64(v)
}

// below reads an index into n things.
func (d *decoder) below(n int) int {
	v := d.unsigned()
	if v >= uint64(n) {
		d.fail(errShape)
		return 0
	}
	return int(v)
}

// items reads how many things follow, each of at least size bytes: a number
// that the remaining bytes cannot hold takes no memory.
func (d *decoder) items(size int) int {
	v := d.unsigned()
	if v > uint64(len(d.in)/size) {
		d.fail(errShape)
		return 0
	}
	return int(v)
}

// pick reads an index into the dictionary, and returns its text.
func (d *decoder) pick() string {
	if i := d.unsigned(); i < uint64(len(d.texts)) {
		return d.texts[i]
	}
	d.fail(errShape)
	return ""
}

func (d *decoder) take(n int) []byte {
	if n > len(d.in) {
		d.fail(errShape)
		return nil
	}
	taken := d.in[:n]
	d.in = d.in[n:]
	return taken
}

func (d *decoder) text() string {
	head := d.unsigned()
	if head > uint64(len(d.in))*2+1 {
		d.fail(errShape)
		return ""
	}
	if head&1 == 0 {
		return string(d.take(int(head / 2)))
	}
	prefix, number := d.take(int(head/2)), d.take(idBytes)
	if len(prefix) > maxIDPrefix || len(number) != idBytes {
		d.fail(errShape)
		return ""
	}
	return unpackID(prefix, binary.BigEndian.Uint64(number), binary.BigEndian.Uint64(number[8:]))
}
