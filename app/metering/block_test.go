package metering

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
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

// addMeters gives the block n records of each other kind.
func addMeters(b *Block, seed uint64, n int) *Block {
	if n == 0 {
		return b
	}
	r := rand.New(rand.NewPCG(seed, 2))
	texts := []string{"", "tokens_input", `{"model":"m"}`, "org_01hgw2bbg0000000000000000a", "month", strings.Repeat("y", maxText)}
	pick := func() string { return texts[r.IntN(len(texts))] }
	signed := func(high int64) int64 { return (1 - 2*r.Int64N(2)) * r.Int64N(high) }
	for i := range n {
		b.Meters = append(b.Meters, MeterSeries{app.OrgID(pick()), app.KeyID(pick()), app.RouteID(pick()), pick(), pick(), i%3 == 1})
		b.Accounts = append(b.Accounts, app.Account{Org: app.OrgID(pick()), Key: app.KeyID(pick()), Meter: pick(),
			Period: app.QuotaPeriod(pick()), Start: signed(maxMillis), End: signed(maxMillis)})
	}
	for i := range n {
		value := signed(maxValue)
		if i%3 == 1 {
			value = int64(r.Uint64()) // a hash
		} else {
			b.Adjusts = append(b.Adjusts, Adjust{i, b.Base + signed(9000), value, pick(), pick()})
		}
		b.Uses = append(b.Uses, Use{i, b.Base + signed(9000), value, i%2 == 0})
		b.Draws = append(b.Draws, Draw{i, signed(maxDraw), signed(maxDraw)})
		if len(b.Intents) > 0 {
			b.Holds = append(b.Holds, Hold{r.IntN(len(b.Intents)), i / 3 * 3, r.Int64N(maxValue + 1)})
		}
		e := Event{Org: app.OrgID(pick()), Key: app.KeyID(pick()), Source: pick(), ID: pick(), Type: pick(), At: b.Base + signed(9000), Received: b.Base}
		e.ID16 = app.EventID16(e.Org, e.Source, e.ID)
		e.Body[3] = byte(i)
		b.Events = append(b.Events, e)
	}
	return b
}

func TestBlockReadsAsItWasWritten(t *testing.T) {
	var e encoder
	var got Block // reused, as readers do
	for seed := range uint64(50) {
		want := addMeters(sampleBlock(seed, int(seed%7)*10, int(seed%5)*10), seed, int(seed%4)*5)
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
	b.Meters, b.Accounts = append([]MeterSeries(nil), b.Meters...), append([]app.Account(nil), b.Accounts...)
	b.Uses, b.Holds, b.Draws = append([]Use(nil), b.Uses...), append([]Hold(nil), b.Holds...), append([]Draw(nil), b.Draws...)
	b.Events, b.Adjusts = append([]Event(nil), b.Events...), append([]Adjust(nil), b.Adjusts...)
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
	body, _ := (&encoder{}).encode(addMeters(sampleBlock(1, 5, 5), 1, 5))
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
	content := append(body[:len(body)-checksumLen], 10, 1, 0, 0, 0)
	var b Block
	if err := b.Decode(seal(content)); !errors.Is(err, errNewer) {
		t.Fatalf("a section of kind 10: %v, want %v", err, errNewer)
	}
}

// TestBlocksOfTheFirstVersionStayAsTheyWere holds the bytes that version 0.3
// wrote of a block without quantities.
func TestBlocksOfTheFirstVersionStayAsTheyWere(t *testing.T) {
	const written = "4748420101020101000000000000000000000000000000000000000000000000000000000000000080a0bfe9d66603076f7267018c3825ae000000000000000000000a0a6b65795f310a66696c6573010001020101000604020100010000900306080a9df39bbb"
	block := &Block{Replica: 1, Seq: 2, Link: app.LedgerLink{Replica: 1, Seq: 1}, Base: 1_764_000_000_000,
		Series:  []Series{{"org_01hgw2bbg0000000000000000a", "key_1", "files"}},
		Intents: []Intent{{0, 1_764_000_000_003, 2}},
		Settles: []Settle{{0, 1, 0, app.BucketStart(1_764_000_000_000), 200, 3, 4, 5}}}
	body, _ := (&encoder{}).encode(block)
	if got := hex.EncodeToString(body); got != written {
		t.Errorf("wrote %s", got)
	}
	var b Block
	raw, err := hex.DecodeString(written)
	if err == nil {
		err = b.Decode(raw)
	}
	if err != nil || b.Settles[0] != block.Settles[0] || b.Intents[0] != block.Intents[0] || b.Series[0] != block.Series[0] {
		t.Errorf("read %+v, %v", b, err)
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
		body, _ := (&encoder{}).encode(addMeters(sampleBlock(seed, int(seed), int(3-seed)), seed, int(seed)))
		f.Add(body[len(blockMagic) : len(body)-checksumLen])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var b Block
		err := b.Decode(seal(append([]byte(blockMagic), content...)))
		const perByte = 32 // a series of 3 bytes takes 48, a text of 1 byte 16
		n := 48*cap(b.Series) + 24*cap(b.Intents) + 64*cap(b.Settles) + 88*cap(b.Meters) + 80*cap(b.Accounts) +
			32*cap(b.Uses) + 24*cap(b.Holds) + 24*cap(b.Draws) + 120*cap(b.Events) + 56*cap(b.Adjusts)
		if n > perByte*len(content)+1024 {
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
