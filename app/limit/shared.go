package limit

import (
	"context"
	"log/slog"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// Scripts runs Lua on Redis; store/redis fills it.
type Scripts interface {
	// RunScript runs the script once for each element of keys and args, in one
	// round trip, and answers what each run returned: integers. With an error
	// the answers of the runs that failed are nil.
	RunScript(ctx context.Context, source string, keys [][]string, args [][]any) ([][]int64, error)
}

// SharedOptions configure the authority of replicas.
type SharedOptions struct {
	Scripts Scripts
	Replica string           // this process' name among the replicas, unique to its run
	OnLoss  app.FailMode     // for limits that do not say; default open
	Timeout time.Duration    // of one round trip; default 100 ms
	Prefix  string           // of keys in Redis; default "gatehouse:"
	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default: discards
}

const (
	defaultTimeout = 100 * time.Millisecond
	flushEvery     = time.Second // how often unspent units go back
)

// Shared is the authority of several replicas: the truth is in Redis, and each
// replica spends leased units in its own process. A key that is used seldom
// takes exactly what it needs; a key that is used a lot makes a call per some
// thousand requests; a refused one asks again only when it may pass.
//
// A replica that closes gives unspent units back. One that dies forfeits them.
// So the sum over replicas is never over a limit, and sometimes a little under.
//
// That holds as long as Redis remembers: one that loses its data, or evicts
// keys (maxmemory-policy other than noeviction), begins limits anew.
type Shared struct {
	registry
	options  SharedOptions
	queue    queue
	loss     loss
	replicas atomic.Int64
	calls    atomic.Int64
	rtt      atomic.Int64 // nanoseconds that Redis takes to answer, smoothed
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// NewShared joins the replicas. It answers also when Redis is away: the
// authority is degraded until Redis is back.
func NewShared(ctx context.Context, o SharedOptions) *Shared {
	o.defaults()
	s := &Shared{options: o}
	s.leases = true
	s.begin(newClock(o.Now), func(c *Cell, _ int64) bool { return c.leased.idle() })
	s.loss = loss{what: "rate limits", now: o.Now, log: o.Log}
	s.queue.work = s.settle
	s.replicas.Store(1)
	s.beat(ctx)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.done.Go(func() { s.live(running) })
	s.done.Go(func() { every(running, flushEvery, s.flush) })
	s.done.Go(func() { every(running, sweepEvery, s.sweep) })
	return s
}

func (o *SharedOptions) defaults() {
	if o.OnLoss == "" {
		o.OnLoss = app.FailOpen
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Prefix == "" {
		o.Prefix = "gatehouse:"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// maxHeld is how many cells of one request may be served from leases; more
// than plan, key and route may carry together.
const maxHeld = 4 * app.MaxRateLimits

// attempt is one Take under way.
type attempt struct {
	elapsed, units int64
	cells          []*Cell
	held           [maxHeld]*lease // where the units of the cell came from
	dry            uint64          // bit i: cell i, in dry-run, is known to refuse
	lacking        int             // cells for which Redis must be asked
}

// Take implements Authority. Cells with units in hand cost nanoseconds; for
// the others there is one call to Redis, shared with other requests.
func (s *Shared) Take(ctx context.Context, now time.Time, n int64, cells []*Cell) Decision {
	if n < 1 {
		return Decision{OK: true, Units: n}
	}
	a := attempt{elapsed: s.clock.elapsed(now), units: n, cells: cells}
	if d := a.fromMemory(); d.Refused != nil {
		return d
	}
	low := a.spend()
	if low {
		s.topUp(&a)
	}
	if a.lacking == 0 {
		return a.pass(nil)
	}
	return s.ask(ctx, &a)
}

// fromMemory refuses what can never pass, and what Redis refused until a time
// that has not come.
func (a *attempt) fromMemory() Decision {
	d := Decision{Units: a.units}
	for _, c := range a.cells {
		r := c.rule.Load()
		if r.dryRun {
			continue
		}
		if a.units > r.capacity {
			return Decision{Units: a.units, Refused: c, TooLarge: true}
		}
		if wait := c.leased.refuses(a.elapsed, a.units); wait > d.RetryAfter {
			d.Refused, d.RetryAfter = c, wait
		}
	}
	return d
}

// spend takes from the leases in hand, and reports whether one of them is low.
func (a *attempt) spend() (low bool) {
	for i, c := range a.cells {
		if i >= maxHeld {
			a.lacking += len(a.cells) - maxHeld
			break
		}
		l := c.leased.spend(a.elapsed, a.units)
		switch {
		case l != nil:
			a.held[i] = l
			low = low || l.low()
		case a.refusedDry(c): // there is nothing to ask
			a.dry |= 1 << i
		default:
			a.lacking++
		}
	}
	return low
}

// refusedDry reports that a cell in dry-run is known to refuse.
func (a *attempt) refusedDry(c *Cell) bool {
	r := c.rule.Load()
	return r.dryRun && (a.units > r.capacity || c.leased.refuses(a.elapsed, a.units) > 0)
}

// pass answers that the request passes. Cells in dry-run that would have
// refused are counted now, and not when another limit refuses.
func (a *attempt) pass(would *Cell) Decision {
	for known := a.dry; known != 0; known &= known - 1 {
		c := a.cells[bits.TrailingZeros64(known)]
		c.would.Add(1)
		if would == nil {
			would = c
		}
	}
	return Decision{OK: true, Units: a.units, WouldRefuse: would}
}

// putBack returns units to the leases that they came from.
func (a *attempt) putBack() {
	for _, l := range a.held {
		if l != nil {
			l.units.Add(a.units)
		}
	}
}

// need lists the cells for which Redis must be asked, each once: the script
// would count a cell that is named twice only once.
func (a *attempt) need() []*Cell {
	list := make([]*Cell, 0, a.lacking)
	for i, c := range a.cells {
		if (i >= maxHeld || a.held[i] == nil && a.dry&(1<<i) == 0) && !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	return list
}

// Stats implements Authority.
func (s *Shared) Stats() Stats {
	return Stats{Shared: true, Cells: s.count(), Replicas: s.replicas.Load(), Calls: s.calls.Load(),
		DegradedSince: s.loss.Since(), PassedOpen: s.loss.passed.Load(), RefusedClosed: s.loss.refused.Load()}
}

// Close implements Authority: unspent units go back to Redis and the replica leaves.
func (s *Shared) Close(ctx context.Context) error {
	s.stop()
	s.done.Wait()
	s.giveAllBack(ctx)
	return s.leave(ctx)
}

var _ Authority = (*Shared)(nil)
