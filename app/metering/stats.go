package metering

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stats is the ledger's state, for metrics and readiness.
type Stats struct {
	Replica   int64
	Sync      string        // app.LedgerSyncFull or app.LedgerSyncRelaxed
	Blocks    int64         // committed by this run; the last one's seq
	Requests  int64         // committed by this run
	Outcomes  int64         // committed by this run
	Events    int64         // committed by this run
	Bytes     int64         // of blocks, committed by this run
	Refused   int64         // requests that the ledger could not take
	Pending   int           // requests that wait for the next commit
	LastBatch int64         // requests in the last block
	Commits   time.Duration // spent in commits, summed
	Applied   int64         // the last block that the usage buckets hold

	StalledSince time.Time // zero: the last commit succeeded
	LastError    string    // of commits; kept after a recovery
	ApplyError   string    // of the last try to move the usage buckets; empty: it succeeded
	LegacyError  string    // of the last try to apply what other runs left; empty: it succeeded
}

// counters collect Stats.
type counters struct {
	blocks, requests, outcomes, events, bytes, refused, batch, commits, appliedSeq atomic.Int64

	mu           sync.Mutex
	stalledSince time.Time
	last         error
	apply        error
	legacy       error
}

// Stats returns the state of the moment.
func (l *Ledger) Stats() Stats {
	c := &l.stats
	s := Stats{Replica: l.replica.ID, Sync: l.o.Sync, Blocks: c.blocks.Load(), Requests: c.requests.Load(),
		Outcomes: c.outcomes.Load(), Events: c.events.Load(), Bytes: c.bytes.Load(), Refused: c.refused.Load(), LastBatch: c.batch.Load(),
		Commits: time.Duration(c.commits.Load()), Applied: c.appliedSeq.Load()}
	l.mu.Lock()
	s.Pending = len(l.intents)
	l.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.StalledSince = c.stalledSince
	s.LastError, s.ApplyError, s.LegacyError = text(c.last), text(c.apply), text(c.legacy)
	return s
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Ready fails with ledger_unavailable while requests are refused.
func (l *Ledger) Ready() error {
	l.mu.Lock()
	refused := l.refused
	l.mu.Unlock()
	if refused != nil {
		return unavailable(refused.cause)
	}
	return nil
}

func (c *counters) committed(b *Block, bytes int, took time.Duration) {
	c.blocks.Store(b.Seq)
	c.requests.Add(b.requests())
	c.outcomes.Add(int64(len(b.Settles)))
	c.events.Add(int64(len(b.Events)))
	c.bytes.Add(int64(bytes))
	c.batch.Store(int64(len(b.Intents)))
	c.commits.Add(int64(took))
}

// stall notes a failure, and reports whether it is the first since the ledger
// was well.
func (c *counters) stall(now time.Time, err error) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first = c.stalledSince.IsZero(); first {
		c.stalledSince = now
	}
	c.last = err
	return first
}

// slow notes that a commit does not succeed in time, and returns why.
func (c *counters) slow(since time.Time) (cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stalledSince.IsZero() { // not one try has failed: the first has not returned
		c.stalledSince, c.last = since, errSlow
	}
	return c.last
}

// recover notes a success, and returns since when there was none.
func (c *counters) recover() (stalledSince time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stalledSince, c.stalledSince = c.stalledSince, time.Time{}
	return stalledSince
}

func (c *counters) lastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *counters) applied(seq int64, err error) {
	c.appliedSeq.Store(seq)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apply = err
}

func (c *counters) inherited(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.legacy = err
}
