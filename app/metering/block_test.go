package metering

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
)

// sampleBlock is a block with all that a block may hold, different for each
// seed.
func sampleBlock(seed uint64, intents, settles int) *Block {
	r := rand.New(rand.NewPCG(seed, 1))
	now := time.Date(2026, 11, 24, 12, 7, 0, 0, time.UTC)
	b := &Block{Replica: 3, Seq: 1 + r.Int64N(1<<40), Link: app.LedgerLink{Replica: 2, Seq: r.Int64N(1 << 40)}, Base: now.UnixMilli()}
	for i := range b.Link.Hash {
		b.Link.Hash[i] = byte(r.Uint32())
	}
	texts := []string{"", "files", "é", strings.Repeat("x", 300), "org_short", "key_01HGW2BBG0000000000000000A",
		"_01hgw2bbg0000000000000000a", "longprefix_01hgw2bbg0000000000000000a", "org_zzzzzzzzzzzzzzzzzzzzzzzzzz",
		app.NewID("org", now), app.NewID("key", now), app.NewID("rte", now)}
	pick := func() string { return texts[r.IntN(len(texts))] }
	for range 20 {
		b.Series = append(b.Series, Series{app.OrgID(pick()), app.KeyID(pick()), app.RouteID(pick())})
	}
	for range intents {
		b.Intents = append(b.Intents, Intent{r.IntN(20), b.Base - r.Int64N(5000) + 100, r.Int64N(maxWeight + 1)})
	}
	for range settles {
		b.Settles = append(b.Settles, Settle{r.IntN(20), b.Seq - r.Int64N(min(b.Seq, 5)), r.Int64N(500),
			app.BucketStart(b.Base) + (r.Int64N(6)-4)*bucketMillis, r.Int64N(maxStatus + 1), r.Int64N(maxBytes + 1),
			r.Int64N(maxBytes + 1), r.Int64N(maxDuration + 1)})
	}
	return b
}

func TestBlockReadsAsItWasWritten(t *testing.T) {
	var e encoder
	var got Block // reused, as readers do
	for seed := range uint64(50) {
		want := sampleBlock(seed, int(seed%7)*10, int(seed%5)*10)
		body, hash := e.encode(want)
		if err := got.Decode(body); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		normalize(&got)
		normalize(want)
		if !reflect.DeepEqual(*want, got) {
			t.Fatalf("seed %d: wrote\n%+v\nread\n%+v", seed, *want, got)
		}
		again, hash2 := (&encoder{}).encode(&got)
		if !bytes.Equal(again, body) || hash != hash2 {
			t.Fatalf("seed %d: one block has two encodings", seed)
		}
	}
}

// normalize makes empty and nil lists the same.
func normalize(b *Block) {
	b.Series, b.Intents, b.Settles = append([]Series(nil), b.Series...), append([]Intent(nil), b.Intents...), append([]Settle(nil), b.Settles...)
}

func TestBlockIsCompact(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	b := &Block{Replica: 1, Seq: 100_000, Link: app.LedgerLink{Replica: 1, Seq: 99_999}, Base: now.UnixMilli()}
	for range 10 {
		b.Series = append(b.Series, Series{app.OrgID(app.NewID("org", now)), app.KeyID(app.NewID("key", now)), "files"})
	}
	for i := range 50 {
		b.Intents = append(b.Intents, Intent{i % 10, b.Base - 2, 1})
		b.Settles = append(b.Settles, Settle{i % 10, b.Seq - 1, int64(i), app.BucketStart(b.Base), 200, 300, 2000, 5000})
	}
	body, _ := (&encoder{}).encode(b)
	if perRequest := len(body) / 50; perRequest > 30 {
		t.Errorf("50 requests of 10 keys take %d bytes each, more than 30", perRequest)
	}
}

func TestEveryChangedOrMissingByteIsFound(t *testing.T) {
	body, _ := (&encoder{}).encode(sampleBlock(1, 5, 5))
	var b Block
	for i := range body {
		changed := bytes.Clone(body)
		changed[i] ^= 1 << (i % 8)
		if b.Decode(changed) == nil {
			t.Errorf("byte %d of %d changed: not found", i, len(body))
		}
		if b.Decode(body[:i]) == nil {
			t.Errorf("cut to %d bytes of %d: not found", i, len(body))
		}
	}
	if b.Decode(append(bytes.Clone(body), 0)) == nil {
		t.Error("a byte appended: not found")
	}
}

func TestRecordsOfANewerVersionAreRefused(t *testing.T) {
	body, _ := (&encoder{}).encode(sampleBlock(1, 5, 0))
	content := append(body[:len(body)-checksumLen], 3, 1, 0, 0, 0)
	var b Block
	if err := b.Decode(seal(content)); !errors.Is(err, errNewer) {
		t.Fatalf("a section of kind 3: %v, want %v", err, errNewer)
	}
}

// seal appends the checksum.
func seal(content []byte) []byte {
	return binary.LittleEndian.AppendUint32(bytes.Clone(content), crc32.Checksum(content, castagnoli))
}

func TestTextsAreMadeFitForBothDatabases(t *testing.T) {
	cases := []struct{ in, want string }{
		{"files", "files"}, {"é", "é"}, {"a\x00b", "ab"}, {"a\xffb", "a\uFFFDb"}, {"\x00", ""},
	}
	for _, c := range cases {
		if got := clean(c.in); got != c.want {
			t.Errorf("clean(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

// FuzzDecode feeds what follows the magic, with a right checksum, so that the
// fuzzer reaches the decoder. It must not panic, must not take more memory
// than a small multiple of the input, and what it accepts must survive being
// written again.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(4) {
		body, _ := (&encoder{}).encode(sampleBlock(seed, int(seed), int(3-seed)))
		f.Add(body[len(blockMagic) : len(body)-checksumLen])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var b Block
		err := b.Decode(seal(append([]byte(blockMagic), content...)))
		const perByte = 32 // a series of 3 bytes takes 48, a text of 1 byte 16
		if n := 48*cap(b.Series) + 24*cap(b.Intents) + 64*cap(b.Settles); n > perByte*len(content)+1024 {
			t.Fatalf("%d bytes made the decoder take %d", len(content), n)
		}
		if err != nil {
			return
		}
		again, _ := (&encoder{}).encode(&b)
		var c Block
		if err := c.Decode(again); err != nil {
			t.Fatalf("what was read does not survive being written: %v", err)
		}
		normalize(&b)
		normalize(&c)
		if !reflect.DeepEqual(b, c) {
			t.Fatalf("read\n%+v\nwrote and read\n%+v", b, c)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	block := sampleBlock(1, 50, 50)
	var e encoder
	b.ReportAllocs()
	for b.Loop() {
		body, _ := e.encode(block)
		b.SetBytes(int64(len(body)))
	}
}

func BenchmarkDecodeAndFold(b *testing.B) {
	body, _ := (&encoder{}).encode(sampleBlock(1, 50, 50))
	s := newSums()
	var block Block
	b.ReportAllocs()
	for b.Loop() {
		if err := block.Decode(body); err != nil {
			b.Fatal(err)
		}
		s.fold(&block)
	}
}
