package metering_test

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// smallLedger is the database of a ledger of two runs and a few blocks.
func smallLedger(t *testing.T, o store.Options) *sql.DB {
	t.Helper()
	s := openLedger(t, o)
	for range 2 {
		l := openMeter(t, metering.Options{Store: s})
		for i := range 3 {
			count(t, l, request(fmt.Sprint("org_", i), noon), 200)
		}
		closeMeter(t, l)
	}
	mustHold(t, s)
	return rawDatabase(t, o)
}

// faults are the codes of what a check finds.
func faults(t *testing.T, s *store.Ledger) (codes []string) {
	t.Helper()
	proof, err := metering.Check(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range proof.Faults {
		codes = append(codes, fault.Code)
	}
	return codes
}

func TestACheckFindsEveryByteOfTheLastBlock(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		db := smallLedger(t, o)
		s := openLedger(t, o)
		const last = ` WHERE replica = 2 AND seq = (SELECT MAX(seq) FROM usage_block WHERE replica = 2)`
		var body []byte
		if err := db.QueryRow(`SELECT body FROM usage_block` + last).Scan(&body); err != nil {
			t.Fatal(err)
		}
		for i := range body {
			execute(t, db, `UPDATE usage_block SET body = $1`+last, body[:i])
			if got := faults(t, s); !slices.Contains(got, "block_damaged") {
				t.Errorf("cut to %d of %d bytes: found %v", i, len(body), got)
			}
			changed := slices.Clone(body)
			changed[i] ^= 1
			execute(t, db, `UPDATE usage_block SET body = $1`+last, changed)
			if got := faults(t, s); !slices.Contains(got, "block_damaged") {
				t.Errorf("byte %d of %d flipped: found %v", i, len(body), got)
			}
		}
		execute(t, db, `UPDATE usage_block SET body = $1`+last, body)
		mustHold(t, s)
	})
}

func TestACheckFindsWhatWasChanged(t *testing.T) {
	cases := []struct{ name, damage, want string }{
		{"the last block is gone", `DELETE FROM usage_block WHERE replica = 2 AND seq = (SELECT MAX(seq) FROM usage_block WHERE replica = 2)`, "block_missing"},
		{"a block in the middle is gone", `DELETE FROM usage_block WHERE replica = 1 AND seq = 2`, "block_missing"},
		{"all blocks of a run are gone", `DELETE FROM usage_block WHERE replica = 1`, "block_missing"},
		{"a run is gone", `DELETE FROM usage_replica WHERE id = 1`, "chain_broken"},
		{"a run is gone with its blocks", `DELETE FROM usage_block WHERE replica = 1; DELETE FROM usage_replica WHERE id = 1`, "chain_broken"},
		{"a block stands in another's place", `UPDATE usage_block SET body = (SELECT body FROM usage_block WHERE replica = 2 AND seq = 2) WHERE replica = 1 AND seq = 2`, "chain_broken"},
		{"a bucket has one request more", `UPDATE usage_bucket SET requests = requests + 1 WHERE org_id = 'org_1'`, "bucket_differs"},
		{"a bucket has one byte less", `UPDATE usage_bucket SET bytes_out = bytes_out - 1 WHERE org_id = 'org_1'`, "bucket_differs"},
		{"a bucket is gone", `DELETE FROM usage_bucket WHERE org_id = 'org_1'`, "bucket_differs"},
		{"a bucket belongs to another", `UPDATE usage_bucket SET org_id = 'org_9' WHERE org_id = 'org_1'`, "bucket_differs"},
		{"the applied block is further", `UPDATE usage_replica SET applied_seq = applied_seq + 1 WHERE id = 2`, "block_missing"},
		{"the applied block is not as far", `UPDATE usage_replica SET applied_seq = applied_seq - 1 WHERE id = 2`, "chain_broken"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := sqliteOptions(t)
			db := smallLedger(t, o)
			execute(t, db, c.damage)
			if got := faults(t, openLedger(t, o)); !slices.Contains(got, c.want) {
				t.Errorf("found %v, want %s", got, c.want)
			}
		})
	}
}

// TestACheckFindsAnHonestLookingBlock changes a request's weight, with a right
// checksum and a right sum: the chain tells.
func TestACheckFindsAnHonestLookingBlock(t *testing.T) {
	o := sqliteOptions(t)
	db := smallLedger(t, o)
	var body []byte
	if err := db.QueryRow(`SELECT body FROM usage_block WHERE replica = 1 AND seq = 1`).Scan(&body); err != nil {
		t.Fatal(err)
	}
	content := body[:len(body)-4]
	content[len(content)-1] = 4 // the weight 2: the block ends with its only request
	body = binary.LittleEndian.AppendUint32(content, crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
	var b metering.Block
	if err := b.Decode(body); err != nil || len(b.Intents) != 1 || b.Intents[0].Weight != 2 {
		t.Fatalf("%+v, %v", b, err)
	}
	execute(t, db, `UPDATE usage_block SET body = $1 WHERE replica = 1 AND seq = 1`, body)
	execute(t, db, `UPDATE usage_bucket SET weight = weight + 1 WHERE org_id = $1`, string(b.Series[0].Org))
	if got := faults(t, openLedger(t, o)); !slices.Equal(got, []string{"chain_broken"}) {
		t.Errorf("found %v, want chain_broken", got)
	}
}

// TestOutcomesAreMatched writes blocks as the writer never does.
func TestOutcomesAreMatched(t *testing.T) {
	s := openLedger(t, sqliteOptions(t))
	l := openMeter(t, metering.Options{Store: s})
	ticket := l.Begin(request("org_1", noon))
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Settle(ticket, app.Outcome{Status: 200})
	l.Settle(ticket, app.Outcome{Status: 200}) // a mistake of the caller
	closeMeter(t, l)
	if got := faults(t, s); !slices.Equal(got, []string{"outcome_unmatched"}) {
		t.Errorf("found %v", got)
	}
}

// TestALogCutAtAnyPlaceIsAnOlderLedger cuts SQLite's log, as a power failure
// may before an fsync ends: what is left is a ledger that holds.
func TestALogCutAtAnyPlaceIsAnOlderLedger(t *testing.T) {
	o := sqliteOptions(t)
	s := openLedger(t, o)
	l := openMeter(t, metering.Options{Store: s})
	for i := range 4 {
		in, out := tokens(request("org_1", noon), monthly("org_1"), 30)
		ticket := l.Begin(in)
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // the others hold their worst case still
			receipt := l.SettleTicket(ticket, out)
			if err := receipt.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := filepath.Dir(o.Path)
	file, log := readFile(t, filepath.Join(dir, "usage.db")), readFile(t, filepath.Join(dir, "usage.db-wal"))
	const places = 40
	for i := range places {
		size := len(log) * (i + 1) / places
		copied := store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")}
		writeFile(t, filepath.Join(filepath.Dir(copied.Path), "usage.db"), file)
		writeFile(t, filepath.Join(filepath.Dir(copied.Path), "usage.db-wal"), log[:size])
		cut := openLedger(t, copied)
		before := total(t, cut)
		closeMeter(t, openMeter(t, metering.Options{Store: cut}))
		if proof := mustHold(t, cut); proof.Held != 0 { // the next start settles what is left
			t.Errorf("cut to %d of %d bytes: proof %+v", size, len(log), proof)
		}
		if got := accounts(t, cut); got != "" && !strings.HasSuffix(got, ", 0 held\n") || i == places-1 && !strings.Contains(got, "260 spent") {
			t.Errorf("cut to %d of %d bytes: %s", size, len(log), got)
		}
		if after := total(t, cut); after != before || after.Requests > 4 || i == places-1 && after.Requests != 4 {
			t.Errorf("cut to %d of %d bytes: %+v, then %+v", size, len(log), before, after)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil || len(content) == 0 {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
	return content
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// meteredLedger is the database of a ledger with every kind of record that
// requests and operators write, of a run that ended and of one that runs, whose
// last request came at a time.
func meteredLedger(t *testing.T, o store.Options, last time.Time) *sql.DB {
	t.Helper()
	s := openLedger(t, o)
	ended := openMeter(t, metering.Options{Store: s})
	account := monthly("org_1")
	in, out := tokens(request("org_1", noon), account, 30)
	in.Uses = []app.Use{{Meter: "visitors", Value: 7, Unique: true}, {Meter: "level", Value: 3}}
	ticket := ended.Begin(in)
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended.Settle(ticket, out)
	ended.Tally(1)
	correction := app.Adjustment{Org: "org_1", Meter: app.MeterTokensOutput, At: noon, Value: 5, Reason: "lost by the app"}
	if err := (metering.Adjuster{Ledger: ended}).Adjust(t.Context(), system, correction); err != nil {
		t.Fatal(err)
	}
	closeMeter(t, ended)
	running := openMeter(t, metering.Options{Store: s})
	held, _ := tokens(request("org_2", noon), monthly("org_2"), 0)
	ticket = running.Begin(held)
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	count(t, running, request("org_3", last), 200)
	for settled := false; !settled || unapplied(t, s) > 0; settled = mustHold(t, s).Outcomes == 2 {
		time.Sleep(time.Millisecond)
	}
	return rawDatabase(t, o)
}

func TestACheckFindsOneFlippedBitOfAnyBlock(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		db := meteredLedger(t, o, noon)
		s, flips := openLedger(t, o), 0
		for _, where := range []string{"replica = 1 AND seq = 1", "replica = 1 AND seq = 2", "replica = 2 AND seq = 1"} {
			var body []byte
			if err := db.QueryRow(`SELECT body FROM usage_block WHERE ` + where).Scan(&body); err != nil {
				t.Fatal(err)
			}
			for i := range body {
				changed := slices.Clone(body)
				changed[i] ^= 1 << (i % 8)
				execute(t, db, `UPDATE usage_block SET body = $1 WHERE `+where, changed)
				if flips++; len(faults(t, s)) == 0 {
					t.Errorf("%s: byte %d of %d flipped, and the ledger holds", where, i, len(body))
				}
				execute(t, db, `UPDATE usage_block SET body = $1 WHERE `+where, body[:i])
				if len(faults(t, s)) == 0 {
					t.Errorf("%s: cut to %d of %d bytes, and the ledger holds", where, i, len(body))
				}
			}
			execute(t, db, `UPDATE usage_block SET body = $1 WHERE `+where, body)
		}
		mustHold(t, s)
		t.Logf("%d bytes flipped, and as many cuts", flips)
	})
}

// TestACheckFindsADrawWithoutUse writes what a fault of the gate would: an
// account is charged for what nobody used.
func TestACheckFindsADrawWithoutUse(t *testing.T) {
	s := openLedger(t, sqliteOptions(t))
	l := openMeter(t, metering.Options{Store: s})
	in := request("org_1", noon)
	in.Draws = []app.Draw{{Account: monthly("org_1"), Spent: 3}}
	ticket := l.Begin(in)
	l.Settle(ticket, app.Outcome{Status: 200})
	closeMeter(t, l)
	if got := faults(t, s); !slices.Equal(got, []string{"account_overdrawn"}) {
		t.Errorf("found %v", got)
	}
}
