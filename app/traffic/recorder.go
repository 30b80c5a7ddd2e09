// Package traffic watches what passes the gate, for people: requests a second,
// refusals by reason, percentiles, the busiest organizations. It is not the
// ledger: nothing is billed from it, and a crash loses up to ten seconds of it.
package traffic

import (
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// Verdict is how a request ended, in the eyes of the overview.
type Verdict uint8

// Verdicts.
const (
	Allowed Verdict = iota // forwarded, and answered below 500
	Refused                // stopped by the gate
	Failed                 // forwarded, and failed
	verdicts
)

// Meter is the live counters of one organization, or of the whole gate.
// Whoever serves the organization's requests holds it, so that counting costs
// no look-up.
type Meter struct {
	counts  [verdicts]atomic.Int64
	latency histogram
}

// MaxOrgs bounds how many organizations have counters of their own; further
// ones count in the whole alone.
const MaxOrgs = 10_000

// secondsKept is the length of the finest ring: the range of 15 minutes.
const secondsKept = 900

// minutesKept is how long a node remembers its own minutes (the range of an
// hour), hoursKept its own hours (what is not saved yet).
const (
	minutesKept = 61
	hoursKept   = 2
)

// Recorder counts requests and keeps the recent past in rings.
type Recorder struct {
	Now func() time.Time

	whole    Meter
	own      histogram
	mu       sync.Mutex // guards all below; never taken by Observe
	orgs     map[app.OrgID]*tracked
	refusals sync.Map // code → *atomic.Int64

	wholeSeen tracked
	ownLast   counts
	seconds   [secondsKept]second
	minutes   book
	hours     book
	codeLast  map[string]int64
}

// tracked is a meter with what was read of it last.
type tracked struct {
	meter   *Meter
	last    [verdicts]int64
	latLast counts
}

type second struct {
	unix   int64
	counts [verdicts]int64
}

// book holds a page for each of the last minutes, or hours.
type book struct {
	seconds int64           // length of a page
	kept    int64           // pages
	pages   map[int64]*page // Unix time in pages →
	dirty   map[int64]bool  // pages to save
}

type page struct {
	whole    sum
	own      counts
	orgs     map[app.OrgID]*sum
	refusals map[string]int64
}

type sum struct {
	counts  [verdicts]int64
	latency counts
}

// New returns a recorder. Call Tick every second, and Save every ten.
func New(now func() time.Time) *Recorder {
	r := &Recorder{Now: now, orgs: map[app.OrgID]*tracked{}, codeLast: map[string]int64{},
		minutes: newBook(time.Minute, minutesKept), hours: newBook(time.Hour, hoursKept)}
	r.wholeSeen.meter = &r.whole
	return r
}

func newBook(length time.Duration, kept int64) book {
	return book{seconds: int64(length / time.Second), kept: kept, pages: map[int64]*page{}, dirty: map[int64]bool{}}
}

// Org returns the organization's meter, or nil when MaxOrgs have one already.
func (r *Recorder) Org(id app.OrgID) *Meter {
	if id == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.orgs[id]; ok {
		return t.meter
	}
	if len(r.orgs) >= MaxOrgs {
		return nil
	}
	t := &tracked{meter: new(Meter)}
	r.orgs[id] = t
	return t.meter
}

// Observe counts one request: the organization's meter (nil if unknown), how
// it ended, how long it took, and the gate's own share of that.
func (r *Recorder) Observe(org *Meter, verdict Verdict, took, own time.Duration) {
	r.whole.counts[verdict].Add(1)
	if verdict != Refused {
		r.whole.latency.add(took)
		r.own.add(own)
	}
	if org == nil {
		return
	}
	org.counts[verdict].Add(1)
	if verdict != Refused {
		org.latency.add(took)
	}
}

// Refuse counts a refusal's reason, beside Observe.
func (r *Recorder) Refuse(code string) {
	counter, ok := r.refusals.Load(code)
	if !ok {
		counter, _ = r.refusals.LoadOrStore(code, new(atomic.Int64))
	}
	counter.(*atomic.Int64).Add(1)
}

// Totals returns what was counted since the start: allowed, refused, failed.
func (r *Recorder) Totals() (allowed, refused, failed int64) {
	c := &r.whole.counts
	return c[Allowed].Load(), c[Refused].Load(), c[Failed].Load()
}

// Durations returns how long the requests that passed took, and the gate's own
// share of that.
func (r *Recorder) Durations() (whole, own Distribution) {
	return r.whole.latency.distribution(), r.own.distribution()
}

// Refusals calls each with every reason seen since the start and its count.
func (r *Recorder) Refusals(each func(code string, count int64)) {
	r.refusals.Range(func(code, counter any) bool {
		each(code.(string), counter.(*atomic.Int64).Load())
		return true
	})
}

// Tick moves what was counted since the last tick into the rings.
func (r *Recorder) Tick() {
	unix := r.Now().Unix()
	r.mu.Lock()
	defer r.mu.Unlock()
	minute, hour := r.minutes.page(unix), r.hours.page(unix)
	gained := r.wholeSeen.advance()
	minute.whole.add(&gained)
	hour.whole.add(&gained)
	slot := &r.seconds[unix%secondsKept]
	if slot.unix != unix {
		*slot = second{unix: unix}
	}
	for v, n := range gained.counts {
		slot.counts[v] += n
	}
	own := r.own.since(&r.ownLast)
	minute.own.merge(&own)
	hour.own.merge(&own)
	for id, t := range r.orgs {
		if !t.idle() {
			gained := t.advance()
			minute.org(id).add(&gained)
			hour.org(id).add(&gained)
		}
	}
	r.tickRefusals(minute, hour)
	if gained.counts != [verdicts]int64{} {
		r.minutes.dirty[unix/r.minutes.seconds] = true
		r.hours.dirty[unix/r.hours.seconds] = true
	}
}

func (r *Recorder) tickRefusals(minute, hour *page) {
	r.Refusals(func(code string, count int64) {
		if gained := count - r.codeLast[code]; gained > 0 {
			minute.refusals[code] += gained
			hour.refusals[code] += gained
			r.codeLast[code] = count
		}
	})
}

// page returns the page of the time, and forgets old ones that are saved.
func (b *book) page(unix int64) *page {
	unit := unix / b.seconds
	if p, ok := b.pages[unit]; ok {
		return p
	}
	for old := range b.pages {
		if old <= unit-b.kept && !b.dirty[old] {
			delete(b.pages, old)
		}
	}
	p := &page{orgs: map[app.OrgID]*sum{}, refusals: map[string]int64{}}
	b.pages[unit] = p
	return p
}

func (p *page) org(id app.OrgID) *sum {
	s, ok := p.orgs[id]
	if !ok {
		s = new(sum)
		p.orgs[id] = s
	}
	return s
}

func (s *sum) add(gained *sum) {
	for v, n := range gained.counts {
		s.counts[v] += n
	}
	s.latency.merge(&gained.latency)
}

// idle reports that nothing was counted since the last advance.
func (t *tracked) idle() bool {
	for v := range t.meter.counts {
		if t.meter.counts[v].Load() != t.last[v] {
			return false
		}
	}
	return true
}

// advance returns what the meter gained since the last call.
func (t *tracked) advance() (gained sum) {
	for v := range t.meter.counts {
		now := t.meter.counts[v].Load()
		gained.counts[v] = now - t.last[v]
		t.last[v] = now
	}
	gained.latency = t.meter.latency.since(&t.latLast)
	return gained
}
