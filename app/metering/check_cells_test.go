package metering_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/app/metering"
	"gatehouse/store"
)

// watched is a verifier that has proven the whole ledger, and goes on there for
// a day.
func watched(t *testing.T, s *store.Ledger, now *time.Time) *metering.Verifier {
	t.Helper()
	v := &metering.Verifier{Store: s, WholeEvery: 24 * time.Hour, Clock: func() time.Time { return *now }}
	nextHolds(t, v)
	return v
}

func nextHolds(t *testing.T, v *metering.Verifier) metering.Proof {
	t.Helper()
	proof, err := v.Next(t.Context())
	if err != nil || !proof.OK() {
		t.Fatalf("%+v, %v", proof, err)
	}
	return proof
}

// cells breaks a ledger and has both ways of reading find it: a whole reading,
// and a verifier that has proven the ledger just before. Such a verifier reads
// everything only when something differs, so it is red only when it saw that.
type cells struct {
	db *sql.DB
	s  *store.Ledger
	v  *metering.Verifier
}

func (c cells) breaks(t *testing.T, change, back, want string) {
	t.Helper()
	execute(t, c.db, change)
	if got := faults(t, c.s); !slices.Contains(got, want) {
		t.Errorf("%s: found %v, want %s", change, got, want)
	}
	proof, err := c.v.Next(t.Context())
	if err != nil || !slices.ContainsFunc(proof.Faults, func(f metering.Fault) bool { return f.Code == want }) {
		t.Errorf("%s: a verifier that goes on finds %v, %v", change, proof.Faults, err)
	}
	if back != "" {
		execute(t, c.db, back)
		nextHolds(t, c.v)
	}
}

// TestACheckFindsEveryChangedCell changes each number of each table that is
// folded from blocks, row by row, by one.
func TestACheckFindsEveryChangedCell(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) { everyCell(t, o, noon) })
	t.Run("long ago", func(t *testing.T) { everyCell(t, sqliteOptions(t), noon.Add(24*time.Hour)) }) // a verifier keeps digests alone
}

func everyCell(t *testing.T, o store.Options, last time.Time) {
	db, now := meteredLedger(t, o, last), noon
	s := openLedger(t, o)
	c := cells{db, s, watched(t, s, &now)}
	for _, of := range []struct{ table, columns, want string }{
		{"usage_bucket", "start requests weight status_2xx status_3xx status_4xx status_5xx unknown bytes_in bytes_out duration_us", "bucket_differs"},
		{"usage_meter", "start count sum max latest latest_at estimated", "meter_differs"},
		{"usage_member", "start value", "meter_differs"},
		{"usage_held", "start_at end_at held", "held_differs"},
		{"quota_account", "start_at end_at spent held opening", "account_differs"},
		{"usage_position", "n", "steps_differ"},
	} {
		for column := range strings.FieldsSeq(of.columns) {
			set := `UPDATE ` + of.table + ` SET ` + column + ` = ` + column
			c.breaks(t, set+` + 1`, set+` - 1`, of.want)
		}
	}
	for _, of := range []struct{ change, back, want string }{
		{`UPDATE usage_replica SET answered = 2 WHERE id = 1`, `UPDATE usage_replica SET answered = 1 WHERE id = 1`, "answers_differ"},
		{`UPDATE usage_replica SET answered = 0 WHERE id = 1`, `UPDATE usage_replica SET answered = 1 WHERE id = 1`, "answers_differ"},
		{`UPDATE usage_replica SET open_from = 2 WHERE id = 2`, `UPDATE usage_replica SET open_from = 1 WHERE id = 2`, "held_differs"},
		{`UPDATE usage_replica SET closed_at = 1 WHERE id = 2`, `UPDATE usage_replica SET closed_at = 0 WHERE id = 2`, "held_differs"},
		{`UPDATE usage_replica SET link_seq = 1 WHERE id = 2`, `UPDATE usage_replica SET link_seq = (SELECT MAX(seq) FROM usage_block WHERE replica = 1) WHERE id = 2`, "chain_broken"},
		{`UPDATE usage_replica SET applied_seq = applied_seq - 1 WHERE id = 2`, `UPDATE usage_replica SET applied_seq = applied_seq + 1 WHERE id = 2`, "chain_broken"},
		{`UPDATE usage_meter SET meter = 'other' WHERE meter = 'level'`, `UPDATE usage_meter SET meter = 'level' WHERE meter = 'other'`, "meter_differs"},
		{`UPDATE usage_bucket SET org_id = 'org_9' WHERE org_id = 'org_1'`, `UPDATE usage_bucket SET org_id = 'org_1' WHERE org_id = 'org_9'`, "bucket_differs"},
		{`UPDATE quota_account SET org_id = 'org_9' WHERE org_id = 'org_1'`, `UPDATE quota_account SET org_id = 'org_1' WHERE org_id = 'org_9'`, "account_differs"},
		{`UPDATE quota_account SET meter = 'cost' WHERE org_id = 'org_1'`, `UPDATE quota_account SET meter = 'tokens_output' WHERE org_id = 'org_1'`, "account_differs"},
		{`INSERT INTO quota_pruned VALUES ('org_1', '', 'tokens_output', 'hour', 1, 1, 1)`, `DELETE FROM quota_pruned`, "account_differs"},
		{`DELETE FROM usage_member`, ``, "meter_differs"},
		{`DELETE FROM usage_meter`, ``, "meter_differs"},
		{`DELETE FROM usage_held`, ``, "held_differs"},
		{`DELETE FROM quota_account`, ``, "account_differs"},
	} {
		c.breaks(t, of.change, of.back, of.want)
	}
}

// TestStepsWithoutAGap changes the numbering by which exports go on.
func TestStepsWithoutAGap(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		db := meteredLedger(t, o, noon)
		s := openLedger(t, o)
		const last = ` WHERE n = (SELECT MAX(n) FROM usage_applied)`
		for _, by := range []string{"+ 1", "- 1"} { // a number is left out
			execute(t, db, `UPDATE usage_applied SET n = n `+by+last)
			execute(t, db, `UPDATE usage_position SET n = n `+by)
			if got := faults(t, s); slices.Contains(got, "steps_differ") != (by == "+ 1") {
				t.Errorf("numbers %s: found %v", by, got)
			}
		}
		for _, of := range []struct{ change, back string }{
			{`UPDATE usage_applied SET n = n + 1` + last, `UPDATE usage_applied SET n = n - 1` + last},
			{`UPDATE usage_applied SET n = 0 WHERE n = 1`, `UPDATE usage_applied SET n = 1 WHERE n = 0`},
			{`UPDATE usage_applied SET replica = 3 - replica WHERE n = 1`, `UPDATE usage_applied SET replica = 3 - replica WHERE n = 1`},
			{`UPDATE usage_applied SET from_seq = from_seq + 1 WHERE n = 1`, `UPDATE usage_applied SET from_seq = from_seq - 1 WHERE n = 1`},
			{`UPDATE usage_applied SET from_seq = from_seq - 1` + last, `UPDATE usage_applied SET from_seq = from_seq + 1` + last},
			{`UPDATE usage_applied SET to_seq = to_seq - 1 WHERE n = 1`, `UPDATE usage_applied SET to_seq = to_seq + 1 WHERE n = 1`},
			{`UPDATE usage_applied SET to_seq = to_seq + 1` + last, `UPDATE usage_applied SET to_seq = to_seq - 1` + last},
			{`INSERT INTO usage_applied SELECT n + 1, replica, from_seq, to_seq, at FROM usage_applied` + last, `DELETE FROM usage_applied` + last},
			{`DELETE FROM usage_applied WHERE n = 1`, ``},
			{`DELETE FROM usage_applied`, ``},
		} {
			execute(t, db, of.change)
			if got := faults(t, s); !slices.Contains(got, "steps_differ") {
				t.Errorf("%s: found %v", of.change, got)
			}
			if of.back != "" {
				execute(t, db, of.back)
				mustHold(t, s)
			}
		}
	})
}

// TestAVerifierReadsOldBlocksOnceADay flips a byte of a block that was proven.
func TestAVerifierReadsOldBlocksOnceADay(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		db, now := meteredLedger(t, o, noon), noon
		s := openLedger(t, o)
		v := watched(t, s, &now)
		const where = ` WHERE replica = 1 AND seq = 1`
		var body []byte
		if err := db.QueryRow(`SELECT body FROM usage_block` + where).Scan(&body); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(body); i += 16 { // of each byte, see TestACheckFindsOneFlippedBitOfAnyBlock
			changed := slices.Clone(body)
			changed[i] ^= 1 << (i % 8)
			execute(t, db, `UPDATE usage_block SET body = $1`+where, changed)
			if proof, err := v.Next(t.Context()); err != nil || !proof.OK() || proof.WholeAt != now {
				t.Fatalf("before a day has passed: %+v, %v", proof, err)
			}
			now = now.Add(24 * time.Hour)
			if proof, err := v.Next(t.Context()); err != nil || proof.OK() {
				t.Errorf("byte %d of %d flipped, and the ledger holds: %v", i, len(body), err)
			}
			if proof, err := v.Next(t.Context()); err != nil || proof.OK() { // until it is mended
				t.Errorf("byte %d of %d: forgotten, %v", i, len(body), err)
			}
			execute(t, db, `UPDATE usage_block SET body = $1`+where, body)
			nextHolds(t, v)
		}
		// The last block of a chain is looked at each time.
		execute(t, db, `DELETE FROM usage_block WHERE replica = 1 AND seq = (SELECT MAX(seq) FROM usage_block WHERE replica = 1)`)
		if proof, err := v.Next(t.Context()); err != nil || proof.OK() {
			t.Errorf("the end of a chain is gone, and the ledger holds: %v", err)
		}
	})
}
