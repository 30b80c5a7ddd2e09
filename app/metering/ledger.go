package metering

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gatehouse/app"
)

// Defaults and bounds of a Ledger.
const (
	// DefaultMaxDelay bounds how long a commit gathers company under load; see
	// pace.go for where it comes from.
	DefaultMaxDelay = time.Millisecond
	// DefaultMaxPending bounds the requests that wait for the next commit. A
	// commit takes 0.3 ms; at 100,000 requests/s that is 30 of them, so a queue
	// of this length means that the disk has stalled. 120 bytes each.
	DefaultMaxPending = 16384
	// DefaultPatience is how long a commit may take before its requests are
	// refused: within it, a database that restarts is not noticed.
	DefaultPatience = 2 * time.Second
	// DefaultTakeOver is how often dead replicas are looked for. Reports hold
	// their blocks anyway; until then they read them one by one.
	DefaultTakeOver = 10 * time.Second
	// DefaultDeadAfter is how long a replica may be silent before others settle
	// what it left. A pause that long is rare enough, and one that is longer
	// costs the paused replica its chain, but never a count.
	DefaultDeadAfter = 15 * time.Second

	// settleDelay is how long outcomes wait for a request to ride with. At more
	// than ten requests a second they never need a block of their own.
	settleDelay  = 100 * time.Millisecond
	maxSettles   = 16384 // outcomes in one block
	firstRetry   = 10 * time.Millisecond
	slowestRetry = time.Second
)

// Options of a Ledger.
type Options struct {
	Store      BlockStore
	Node       string           // host and process, for people
	Sync       string           // app.LedgerSyncFull (default) or app.LedgerSyncRelaxed
	MaxDelay   time.Duration    // default: DefaultMaxDelay; negative: no pause
	MaxPending int              // default: DefaultMaxPending
	Patience   time.Duration    // default: DefaultPatience
	TakeOver   time.Duration    // how often dead replicas are looked for; default: DefaultTakeOver
	DeadAfter  time.Duration    // PostgreSQL: how long a silent replica counts as alive; default: DefaultDeadAfter
	Now        func() time.Time // default: time.Now
	Log        *slog.Logger     // default: discards
}

// Ledger counts requests durably. One goroutine writes blocks, one folds them
// into the usage buckets. It is safe for use by many goroutines.
type Ledger struct {
	o       Options
	relaxed bool
	born    time.Time // start of the clock that paces commits
	replica app.LedgerReplica

	mu         sync.Mutex
	open       *group          // of the next block
	intents    []pendingIntent // of the open group
	with       cargo           // of intents, in their order
	adjusts    []pendingAdjust // of the open group
	settles    []pendingSettle // for the next block, of any group
	after      cargo           // of settles, in their order
	urgent     bool            // somebody waits for one of settles
	answered   int64           // as Tally was told; -1: it never was
	fenced     bool            // somebody has taken this replica over
	refused    *group          // not nil: every request is refused, for its cause
	full       *group          // of the requests that found the queue full
	committing *group          // of the block that is being written
	since      time.Duration   // when that began
	sleep      uint8           // what the writer sleeps for
	closing    bool
	wake       chan struct{}
	waits      chan struct{} // somebody waits for the open group

	writer   writer
	upstream average // what upstreams take, as tickets see it
	sums     *pendingSums
	applier  applier
	pulse    *pulse
	stats    counters

	ctx     context.Context // ends when the ledger gives up
	giveUp  context.CancelFunc
	patient *time.Timer
	drained chan struct{} // the writer has ended
	folded  chan struct{} // the applier has ended
}

// Open starts a chain of its own in the store, folds what earlier runs left
// unapplied, and is ready to count.
func Open(ctx context.Context, o Options) (*Ledger, error) {
	l, err := newLedger(ctx, o.withDefaults())
	if err != nil {
		return nil, err
	}
	l.recover(ctx)
	go l.write()
	l.follow()
	return l, nil
}

// newLedger starts a chain that nobody writes or folds yet.
func newLedger(ctx context.Context, o Options) (*Ledger, error) {
	if o.Sync != app.LedgerSyncFull && o.Sync != app.LedgerSyncRelaxed {
		return nil, fmt.Errorf("the ledger's sync is %q, neither full nor relaxed", o.Sync)
	}
	replica, err := o.Store.OpenReplica(ctx, app.LedgerReplica{Node: o.Node, Sync: o.Sync, StartedAt: o.Now()})
	if err != nil {
		return nil, err
	}
	l := &Ledger{o: o, relaxed: o.Sync == app.LedgerSyncRelaxed, born: time.Now(), replica: replica,
		wake: make(chan struct{}, 1), waits: make(chan struct{}, 1),
		full:  voidGroup(errFull),
		pulse: newPulse(o.DeadAfter), answered: -1,
		drained: make(chan struct{}), folded: make(chan struct{})}
	l.ctx, l.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	l.writer = newWriter(replica)
	l.sums = newPendingSums()
	l.open = l.newGroup()
	l.patient = time.AfterFunc(time.Hour, l.losePatience)
	l.patient.Stop()
	return l, nil
}

// follow folds what is written, and tells the store that the chain lives.
func (l *Ledger) follow() {
	go l.apply()
	go l.pulse.run(l.ctx, l.o.Store, l.replica.ID, l.fence, l.o.Log)
}

func (o Options) withDefaults() Options {
	if o.Sync == "" {
		o.Sync = app.LedgerSyncFull
	}
	if o.MaxDelay == 0 {
		o.MaxDelay = DefaultMaxDelay
	}
	if o.MaxPending <= 0 {
		o.MaxPending = DefaultMaxPending
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.TakeOver <= 0 {
		o.TakeOver = DefaultTakeOver
	}
	if o.DeadAfter <= 0 {
		o.DeadAfter = DefaultDeadAfter
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func (l *Ledger) newGroup() *group {
	return &group{done: make(chan struct{}), relaxed: l.relaxed}
}

// clock is what pacing measures by; a test's Now does not stop it.
func (l *Ledger) clock() time.Duration { return time.Since(l.born) }

// Replica is the number of the ledger's chain.
func (l *Ledger) Replica() int64 { return l.replica.ID }

// Begin notes that a request passed the gate. It never blocks: the record
// joins the next commit, and Ticket.Wait says when that is durable.
func (l *Ledger) Begin(in app.Intent) Ticket {
	t := Ticket{ledger: l, series: Series{in.Org, in.Key, in.Route}, at: millis(in.At.UnixMilli()), held: len(in.Hold) > 0}
	l.mu.Lock()
	if l.refused != nil || len(l.intents) >= l.o.MaxPending {
		t.group = l.refusal()
		l.mu.Unlock()
		return t
	}
	if len(l.intents) == 0 {
		l.open.born = l.clock()
	}
	t.group, t.index = l.open, int64(len(l.intents))
	p := pendingIntent{series: t.series, at: t.at, weight: between(0, in.Weight, maxWeight)}
	if in.More {
		p.weight = weightOfMore
	}
	if len(in.Hold)+len(in.Uses)+len(in.Draws) > 0 {
		p.load = l.with.add(in.Hold, in.Uses, in.Draws)
	}
	l.intents = append(l.intents, p)
	wake := l.rouse(forIntent)
	l.mu.Unlock()
	l.ring(wake)
	return t
}

// refusal counts a refused request and returns the group of its ticket; the
// lock is held.
func (l *Ledger) refusal() *group {
	l.stats.refused.Add(1)
	if l.refused != nil {
		return l.refused
	}
	return l.full
}

// Settle notes how the ticket's request ended; call it once for each ticket,
// also when Wait failed. It never blocks and rides in the next commit. A
// request whose outcome a crash takes stays counted, with its outcome unknown.
func (l *Ledger) Settle(t Ticket, out app.Outcome) {
	if t.group == nil {
		return
	}
	l.mu.Lock()
	wake := false
	if !t.group.void && !l.fenced {
		wake = l.settle(t, out)
	}
	l.mu.Unlock()
	l.ring(wake)
}

// Close refuses new requests, writes and folds what is there, and ends. When
// the context ends before, it gives up and says what is not written; without a
// deadline it waits for a broken disk as long as that takes.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	again := l.closing
	l.closing, l.refused = true, voidGroup(errClosing)
	wake := l.rouse(forIntent)
	l.mu.Unlock()
	l.ring(wake)
	stop := context.AfterFunc(ctx, l.giveUp)
	defer stop()
	<-l.folded
	if again {
		return nil
	}
	l.foldLast()
	l.giveUp()
	return l.lastWords(ctx)
}

// foldLast moves the buckets once more when the applier's last try found the
// database away.
func (l *Ledger) foldLast() {
	if l.applier.err != nil {
		_ = persist(l.ctx, func() error { // the applier keeps the error
			l.applyNow()
			return l.applier.err
		})
	}
}

// persist repeats a step that finds the database away, as writes of blocks do,
// until the context ends.
func persist(ctx context.Context, step func() error) error {
	for wait := firstRetry; ; wait = min(2*wait, slowestRetry) {
		err := step()
		if !app.IsKind(err, app.KindUnavailable) || isFenced(err) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// lastWords notes the end in the store, or says what was not written.
func (l *Ledger) lastWords(ctx context.Context) error {
	l.mu.Lock()
	lost, answered := l.writer.lost+len(l.intents)+len(l.adjusts)+len(l.settles), l.answered
	l.mu.Unlock()
	if lost > 0 {
		return fmt.Errorf("the ledger closed with %d records unwritten: %w", lost, l.stats.lastError())
	}
	if err := l.applier.err; err != nil {
		return fmt.Errorf("the ledger closed with blocks that are not in the usage buckets (the next start adds them): %w", err)
	}
	if answered >= 0 {
		if err := persist(ctx, func() error { return l.o.Store.NoteAnswered(ctx, l.replica.ID, answered) }); err != nil {
			return fmt.Errorf("note the ledger's answers: %w", err)
		}
	}
	if len(l.writer.open) > 0 {
		return nil // requests without outcome hold something: whoever starts next settles them, as after a crash
	}
	if err := persist(ctx, func() error { return l.o.Store.CloseReplica(ctx, l.replica.ID) }); err != nil {
		return fmt.Errorf("note the ledger's end: %w", err)
	}
	return nil
}
