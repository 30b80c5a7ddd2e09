package traffic

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gatehouse/app"
)

// Range is how far back a snapshot looks.
type Range string

// The ranges that the overview offers.
const (
	Range15m Range = "15m" // in steps of 10 seconds
	Range1h  Range = "1h"  // of a minute
	Range24h Range = "24h" // of 15 minutes
	Range30d Range = "30d" // of 6 hours
)

// Span returns the range's length and the length of its steps; an unknown
// range reads as an hour.
func (r Range) Span() (length, step time.Duration) {
	switch r {
	case Range15m:
		return 15 * time.Minute, 10 * time.Second
	case Range24h:
		return 24 * time.Hour, 15 * time.Minute
	case Range30d:
		return 30 * 24 * time.Hour, 6 * time.Hour
	}
	return time.Hour, time.Minute
}

// live reports whether a node's own part of the range is in its memory.
func (r Range) live() bool { return r != Range24h && r != Range30d }

// Point is one step of the chart.
type Point struct {
	Start   time.Time `json:"start"`
	Allowed int64     `json:"allowed"`
	Refused int64     `json:"refused"`
	Failed  int64     `json:"failed"`
}

// Refusal is one reason and how often it stopped a request in the range.
type Refusal struct {
	Code  string `json:"code"`
	Count int64  `json:"count"`
}

// OrgTraffic is one organization's traffic in the range.
type OrgTraffic struct {
	Org     app.OrgID     `json:"org_id"`
	Allowed int64         `json:"allowed"`
	Refused int64         `json:"refused"`
	Failed  int64         `json:"failed"`
	P95     time.Duration `json:"p95_ns"` // 0: not known for this range
	Spark   []int64       `json:"spark"`  // requests that passed, in SparkSteps even steps
}

// SparkSteps is the number of points in an organization's sparkline.
const SparkSteps = 30

// Snapshot is what the overview shows.
type Snapshot struct {
	At        time.Time     `json:"at"`
	Range     Range         `json:"range"`
	Step      time.Duration `json:"step_ns"`
	PerSecond float64       `json:"requests_per_second"` // over the last 10 whole seconds, this node
	Allowed   int64         `json:"allowed"`
	Refused   int64         `json:"refused"`
	Failed    int64         `json:"failed"`
	P50       time.Duration `json:"p50_ns"` // of requests that passed
	P95       time.Duration `json:"p95_ns"`
	P99       time.Duration `json:"p99_ns"`
	OwnP50    time.Duration `json:"own_p50_ns"` // the gate's own share
	Points    []Point       `json:"points"`
	Refusals  []Refusal     `json:"refusals"` // most first
	Orgs      []OrgTraffic  `json:"orgs"`     // busiest first
}

// Requests is the number of requests seen in the range.
func (s *Snapshot) Requests() int64 { return s.Allowed + s.Refused + s.Failed }

// build is a snapshot in the making.
type build struct {
	*Snapshot
	since        time.Time
	latency, own counts
	refusals     map[string]int64
	orgs         map[app.OrgID]*orgBuild
}

type orgBuild struct {
	OrgTraffic
	latency counts
}

// Snapshot sums up the range: this node's rings, and what the store has of
// earlier and of other nodes (History; nil leaves that out).
func (r *Recorder) Snapshot(ctx context.Context, rng Range, past *History) (*Snapshot, error) {
	now := r.Now()
	length, step := rng.Span()
	since := now.Add(-length).Truncate(step).Add(step)
	b := &build{Snapshot: &Snapshot{At: now, Range: rng, Step: step}, since: since,
		refusals: map[string]int64{}, orgs: map[app.OrgID]*orgBuild{}}
	for at := since; !at.After(now); at = at.Add(step) {
		b.Points = append(b.Points, Point{Start: at})
	}
	r.addLive(b, now)
	if past != nil {
		if err := past.addTo(ctx, b); err != nil {
			return nil, err
		}
	}
	b.finish()
	return b.Snapshot, nil
}

// addLive adds this node's own rings: since its start, at most an hour.
func (r *Recorder) addLive(b *build, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var recent int64
	for i := range r.seconds {
		s := &r.seconds[i]
		if age := now.Unix() - s.unix; age >= 1 && age <= 10 {
			recent += s.counts[Allowed] + s.counts[Refused] + s.counts[Failed]
		}
		if b.Range == Range15m {
			b.point(time.Unix(s.unix, 0), s.counts)
		}
	}
	b.PerSecond = float64(recent) / 10
	if !b.Range.live() {
		return
	}
	for unixMinute, p := range r.minutes.pages {
		b.addMinute(time.Unix(unixMinute*60, 0), p)
	}
}

func (b *build) addMinute(start time.Time, m *page) {
	if start.Add(time.Minute).Before(b.since) {
		return
	}
	if b.Range == Range1h {
		b.point(start, m.whole.counts)
	}
	b.latency.merge(&m.whole.latency)
	b.own.merge(&m.own)
	for code, n := range m.refusals {
		b.refusals[code] += n
	}
	for id, s := range m.orgs {
		b.org(id, start, s.counts).latency.merge(&s.latency)
	}
}

// point adds counts to the chart's step that holds the time; times outside are left out.
func (b *build) point(at time.Time, n [verdicts]int64) {
	if at.Before(b.since) {
		return
	}
	i := int(at.Sub(b.since) / b.Step)
	if i >= len(b.Points) {
		return
	}
	b.Points[i].Allowed += n[Allowed]
	b.Points[i].Refused += n[Refused]
	b.Points[i].Failed += n[Failed]
}

func (b *build) org(id app.OrgID, at time.Time, n [verdicts]int64) *orgBuild {
	o, ok := b.orgs[id]
	if !ok {
		o = &orgBuild{OrgTraffic: OrgTraffic{Org: id, Spark: make([]int64, SparkSteps)}}
		b.orgs[id] = o
	}
	o.Allowed += n[Allowed]
	o.Refused += n[Refused]
	o.Failed += n[Failed]
	length, _ := b.Range.Span()
	i := int(max(at.Sub(b.since), 0) * SparkSteps / length)
	o.Spark[min(i, SparkSteps-1)] += n[Allowed] + n[Failed]
	return o
}

func (b *build) finish() {
	for _, p := range b.Points {
		b.Allowed += p.Allowed
		b.Refused += p.Refused
		b.Failed += p.Failed
	}
	b.P50, b.P95, b.P99 = b.latency.quantile(.50), b.latency.quantile(.95), b.latency.quantile(.99)
	b.OwnP50 = b.own.quantile(.50)
	for code, n := range b.refusals {
		b.Refusals = append(b.Refusals, Refusal{code, n})
	}
	slices.SortFunc(b.Refusals, func(x, y Refusal) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Code, y.Code))
	})
	for _, o := range b.orgs {
		o.P95 = o.latency.quantile(.95)
		b.Orgs = append(b.Orgs, o.OrgTraffic)
	}
	slices.SortFunc(b.Orgs, func(x, y OrgTraffic) int {
		return cmp.Or(cmp.Compare(y.total(), x.total()), cmp.Compare(x.Org, y.Org))
	})
}

func (o OrgTraffic) total() int64 { return o.Allowed + o.Refused + o.Failed }
