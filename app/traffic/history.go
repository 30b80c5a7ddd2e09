package traffic

import (
	"context"
	"time"

	"gatehouse/app"
)

// Store keeps traffic by the minute (two days) and by the hour (400 days).
// A replica here is one run of one node: its rows are never written by another.
type Store interface {
	// SaveTraffic inserts or replaces the rows, and drops those past keeping.
	SaveTraffic(ctx context.Context, hourly bool, rows []app.TrafficRow, refusals []app.RefusalRow) error
	// Traffic returns the whole gate's rows since the time, of every replica
	// but the one named (empty: of all).
	Traffic(ctx context.Context, hourly bool, since time.Time, but string) ([]app.TrafficRow, error)
	// OrgTraffic returns organizations' rows, summed over the replicas but one.
	OrgTraffic(ctx context.Context, hourly bool, since time.Time, but string) ([]app.TrafficRow, error)
	// RefusalTraffic returns the reasons, summed over time and replicas but one.
	RefusalTraffic(ctx context.Context, hourly bool, since time.Time, but string) ([]app.RefusalRow, error)
}

// History is the past that the store keeps, seen from one node.
type History struct {
	Store   Store
	Replica string // this node's name in the rows
}

// addTo adds what the rings do not hold: earlier runs and other nodes. Long
// ranges come from the store alone, this run included.
func (h *History) addTo(ctx context.Context, b *build) error {
	hourly, but := b.Range == Range30d, ""
	if b.Range.live() {
		but = h.Replica
	}
	rows, err := h.Store.Traffic(ctx, hourly, b.since, but)
	if err != nil {
		return err
	}
	for _, row := range rows {
		b.addRow(row)
	}
	orgs, err := h.Store.OrgTraffic(ctx, hourly || b.Range == Range24h, b.since, but)
	if err != nil {
		return err
	}
	for _, row := range orgs {
		b.org(row.Org, row.Start, [verdicts]int64{row.Allowed, row.Refused, row.Failed})
	}
	reasons, err := h.Store.RefusalTraffic(ctx, hourly, b.since, but)
	if err != nil {
		return err
	}
	for _, reason := range reasons {
		b.refusals[reason.Code] += reason.Count
	}
	return nil
}

func (b *build) addRow(row app.TrafficRow) {
	b.point(row.Start, [verdicts]int64{row.Allowed, row.Refused, row.Failed})
	b.latency.mergePacked(row.Latency)
	b.own.mergePacked(row.Own)
}

// Save writes the minutes and hours that changed since the last call. A failed
// call keeps them for the next.
func (r *Recorder) Save(ctx context.Context, h *History) error {
	for _, book := range []*book{&r.minutes, &r.hours} {
		rows, refusals, saved := r.unsaved(book, h.Replica)
		if len(saved) == 0 {
			continue
		}
		if err := h.Store.SaveTraffic(ctx, book == &r.hours, rows, refusals); err != nil {
			r.mu.Lock()
			for _, unit := range saved {
				book.dirty[unit] = true
			}
			r.mu.Unlock()
			return err
		}
	}
	return nil
}

func (r *Recorder) unsaved(b *book, replica string) (rows []app.TrafficRow, refusals []app.RefusalRow, saved []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for unit := range b.dirty {
		start := time.Unix(unit*b.seconds, 0).UTC()
		page := b.pages[unit]
		rows = append(rows, app.TrafficRow{Replica: replica, Start: start, Allowed: page.whole.counts[Allowed],
			Refused: page.whole.counts[Refused], Failed: page.whole.counts[Failed],
			Latency: page.whole.latency.pack(), Own: page.own.pack()})
		for id, s := range page.orgs {
			rows = append(rows, app.TrafficRow{Replica: replica, Start: start, Org: id,
				Allowed: s.counts[Allowed], Refused: s.counts[Refused], Failed: s.counts[Failed]})
		}
		for code, n := range page.refusals {
			refusals = append(refusals, app.RefusalRow{Replica: replica, Start: start, Code: code, Count: n})
		}
		saved = append(saved, unit)
		delete(b.dirty, unit)
	}
	return rows, refusals, saved
}
