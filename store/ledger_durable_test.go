package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gatehouse/app"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// TestABlockThatIsThereIsDurable lets a commit's answer be lost while the
// server waits for a standby that is not there: the block can be read then, but
// is not safe yet, and asking for it again must not say so. (On SQLite a block
// whose fsync failed cannot be read at all.)
func TestABlockThatIsThereIsDurable(t *testing.T) {
	server, dsn := storetest.NewPostgres(t)
	l, err := store.OpenLedger(t.Context(), store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := l.OpenReplica(t.Context(), app.LedgerReplica{Node: "here", Sync: app.LedgerSyncFull, StartedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	standby := func(name string) {
		for _, statement := range []string{"ALTER SYSTEM SET synchronous_standby_names = '" + name + "'", "SELECT pg_reload_conf()"} {
			if _, err := conn.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	body := []byte("a block")
	// lost appends a block, and hangs up when the server waits for its standby.
	lost := func(seq int64) (waited bool, err error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		result := make(chan error, 1)
		go func() { result <- l.AppendBlock(ctx, r.ID, seq, body) }()
		for n := 0; n == 0; {
			select {
			case err := <-result:
				return false, err
			case <-time.After(5 * time.Millisecond):
			}
			if err := conn.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`).Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		return true, <-result
	}
	there := func(seq int64) (n int) {
		count := func(int64, []byte) error { n++; return nil }
		if err := l.Blocks(t.Context(), r.ID, seq-1, 1, count); err != nil {
			t.Fatal(err)
		}
		return n
	}
	standby("nobody")
	seq := int64(1)
	for waited := false; !waited; seq++ { // the server hears of its new setting a moment later
		if waited, err = lost(seq); waited == (err == nil) {
			t.Fatalf("block %d: waited %v, %v", seq, waited, err)
		}
	}
	for seq--; there(seq) == 0; { // it hears of the hang-up a moment later, too
		time.Sleep(time.Millisecond)
	}
	if waited, err := lost(seq); !waited || err == nil {
		t.Errorf("the block is called durable: waited %v, %v", waited, err)
	}
	standby("")
	if err := l.AppendBlock(t.Context(), r.ID, seq, body); err != nil || there(seq) != 1 {
		t.Errorf("%v, %d blocks", err, there(seq))
	}
}
