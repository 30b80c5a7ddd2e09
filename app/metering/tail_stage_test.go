package metering_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// tail is SQLite's files of a ledger as a power failure finds them in the
// middle of its last block, which holds records of every kind.
type tail struct {
	file, log     []byte
	before, after int                                          // lengths of the log without and with the last block
	body          []byte                                       // of the last block
	without, with string                                       // what is counted after the next start
	again         func(t *testing.T, s *tailStore, whole bool) // what else holds then
}

// tailStore keeps blocks, folds none, and measures the log around the last
// block of each kind.
type tailStore struct {
	*store.Ledger
	log  string
	fold bool

	mu            sync.Mutex
	hook          func() // before a block of requests is written
	before, after int
	body          []byte
}

func (s *tailStore) ApplyUsage(ctx context.Context, u app.UsageApply) (bool, error) {
	if !s.fold {
		return false, errDisk
	}
	return s.Ledger.ApplyUsage(ctx, u)
}

func (s *tailStore) AppendBlock(ctx context.Context, replica, seq int64, body []byte) (err error) {
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	s.measure(body, func() { err = s.Ledger.AppendBlock(ctx, replica, seq, body) })
	return err
}

func (s *tailStore) AppendEvents(ctx context.Context, replica, seq int64, body []byte, received time.Time, claims []app.EventMark) (ok bool, err error) {
	s.measure(body, func() { ok, err = s.Ledger.AppendEvents(ctx, replica, seq, body, received, claims) })
	return ok, err
}

func (s *tailStore) measure(body []byte, write func()) {
	before := s.size()
	write()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after, s.body = before, s.size(), append([]byte(nil), body...)
}

func (s *tailStore) size() int {
	info, err := os.Stat(s.log)
	if err != nil {
		return 0
	}
	return int(info.Size())
}

// newTail runs what writes the blocks, and keeps the files.
func newTail(t *testing.T, write func(s *tailStore)) tail {
	t.Helper()
	o := sqliteOptions(t)
	dir := filepath.Dir(o.Path)
	s := &tailStore{Ledger: openLedger(t, o), log: filepath.Join(dir, "usage.db-wal")}
	// A reader of the first moment, so that the log never begins anew.
	reader := rawDatabase(t, o)
	execute(t, reader, `BEGIN`)
	execute(t, reader, `SELECT * FROM usage_block`)
	var none int
	if err := reader.QueryRow(`SELECT COUNT(*) FROM usage_block`).Scan(&none); err != nil || none != 0 {
		t.Fatalf("%d blocks, %v", none, err)
	}
	write(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := tail{file: readFile(t, filepath.Join(dir, "usage.db")), log: readFile(t, s.log), before: s.before, after: s.after, body: s.body}
	if l.after != len(l.log) || l.before >= l.after {
		t.Fatalf("the log grew from %d to %d, and to %d afterwards", l.before, l.after, len(l.log))
	}
	return l
}

// requestsTail ends with a block of a request that holds a worst case, one that
// uses at once, an outcome, and a correction.
func requestsTail(t *testing.T) tail {
	account := monthly("org_1")
	l := newTail(t, func(s *tailStore) {
		m := openMeter(t, metering.Options{Store: s})
		adjust := metering.Adjuster{Ledger: m, Meters: ownMeters,
			Draws: func(_ context.Context, _ app.OrgID, _ app.KeyID, meter string, _ time.Time, amount int64) ([]app.Draw, error) {
				if meter != app.MeterTokensOutput {
					return nil, nil
				}
				return []app.Draw{{Account: account, Spent: amount}}, nil
			}}
		correct := func(meter string, value int64) {
			if err := adjust.Adjust(t.Context(), system, app.Adjustment{Org: "org_1", Meter: meter, At: noon, Value: value, Reason: "lost"}); err != nil {
				t.Error(err)
			}
		}
		in, took30 := tokens(request("org_1", noon), account, 30)
		_, took7 := tokens(request("org_1", noon), account, 7)
		plain := request("org_1", noon)
		plain.Uses = []app.Use{{Meter: "visitors", Value: 4, Unique: true}, {Meter: "level", Value: 3}}
		begin := func(in app.Intent) metering.Ticket {
			ticket := m.Begin(in)
			if err := ticket.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			return ticket
		}
		ended, open := begin(in), begin(in)
		begin(in) // open for ever
		begin(plain)
		receipt := m.SettleTicket(ended, took30)
		if err := receipt.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		correct("calls", -3)
		entered, release := make(chan struct{}), make(chan struct{})
		var first sync.Once
		s.mu.Lock()
		s.hook = func() { first.Do(func() { close(entered); <-release }) }
		s.mu.Unlock()
		var all sync.WaitGroup
		all.Go(func() { correct("calls", 1) }) // a block by itself, behind which the last one gathers
		<-entered
		plain.Uses = []app.Use{{Meter: "visitors", Value: 5, Unique: true}, {Meter: "level", Value: 8}}
		receipt = m.SettleTicket(open, took7)
		tickets := []metering.Ticket{m.Begin(in), m.Begin(plain), receipt}
		all.Go(func() { correct(app.MeterTokensOutput, 5) })
		for m.Queued() < 4 {
			time.Sleep(time.Millisecond)
		}
		close(release)
		for _, ticket := range tickets {
			if err := ticket.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		all.Wait()
	})
	var b metering.Block
	if err := b.Decode(l.body); err != nil || len(b.Intents) != 2 || len(b.Settles) != 1 || len(b.Holds) != 1 || len(b.Uses) != 3 ||
		len(b.Draws) != 1 || len(b.Accounts) != 1 || len(b.Adjusts) != 1 {
		t.Fatalf("the last block is %+v, %v", b, err)
	}
	l.without = "4 requests; 230 tokens, 2 estimated; calls -2, level 3, visitors 1; 0 documents, 0 pages\norg_1 tokens_output month: 230 spent, 0 held\n"
	l.with = "6 requests; 242 tokens, 2 estimated; calls -2, level 8, visitors 2; 0 documents, 0 pages\norg_1 tokens_output month: 242 spent, 0 held\n"
	l.again = func(*testing.T, *tailStore, bool) {}
	return l
}

// eventsTail ends with a block of events that draw on an account.
func eventsTail(t *testing.T) tail {
	account := monthly("org_1")
	account.Meter = "pages"
	draws := func(_ context.Context, _ app.OrgID, _ app.KeyID, meter string, _ time.Time, amount int64, dst []app.Draw) ([]app.Draw, error) {
		if meter == account.Meter {
			dst = append(dst, app.Draw{Account: account, Spent: amount})
		}
		return dst, nil
	}
	first := []app.Event{reported("org_1", 1), reported("org_1", 2), reported("org_1", 3)}
	last := []app.Event{reported("org_1", 4), reported("org_1", 5)}
	open := func(t *testing.T, s *tailStore) *metering.Events {
		e, err := metering.OpenEvents(t.Context(), metering.EventsOptions{Store: s, Node: "here", Draws: draws, Patience: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	l := newTail(t, func(s *tailStore) {
		e := open(t, s)
		t.Cleanup(func() { _ = e.Close(t.Context()) }) // it cannot fold
		record(t, e, first...)
		record(t, e, last...)
	})
	var b metering.Block
	if err := b.Decode(l.body); err != nil || len(b.Events) != 2 || len(b.Uses) != 4 || len(b.Draws) != 1 || len(b.Accounts) != 1 {
		t.Fatalf("the last block is %+v, %v", b, err)
	}
	l.without = "0 requests; 0 tokens, 0 estimated; calls 0, level 0, visitors 0; 3 documents, 6 pages\norg_1 pages month: 6 spent, 0 held\n"
	l.with = "0 requests; 0 tokens, 0 estimated; calls 0, level 0, visitors 0; 5 documents, 15 pages\norg_1 pages month: 15 spent, 0 held\n"
	l.again = func(t *testing.T, s *tailStore, whole bool) {
		e := open(t, s)
		if got := record(t, e, first...); got[0] != app.EventDuplicate || got[2] != app.EventDuplicate {
			t.Errorf("acknowledged before, and sent again: %v", got)
		}
		if got := record(t, e, last...); (got[0] == app.EventDuplicate) != whole || got[0] != got[1] {
			t.Errorf("of the last block, and sent again: %v; it is whole: %v", got, whole)
		}
		closeEvents(t, e)
		if got := counts(t, s.Ledger); got != l.with {
			t.Errorf("with all sent again: %s", got)
		}
		mustHold(t, s)
	}
	return l
}
