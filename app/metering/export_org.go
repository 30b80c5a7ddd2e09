package metering

import (
	"context"
	"slices"
	"sort"
	"time"

	"gatehouse/app"
)

// OrgExportStore is ExportStore with its end.
type OrgExportStore interface {
	ExportStore
	// AppliedEnd is the number of the last step; 0: there is none.
	AppliedEnd(ctx context.Context) (int64, error)
}

// OrgExporter reads one organization's records out of the ledger, part by
// part. Blocks hold the records of everybody, so a part ends when it has read
// enough, whether it found something or not.
type OrgExporter struct{ Store OrgExportStore }

// Since is the place from which on records came in at a time or later. Clocks
// of replicas differ: it may lie ten minutes before.
func (e OrgExporter) Since(ctx context.Context, at time.Time) (app.ExportPlace, error) {
	end, err := e.Store.AppliedEnd(ctx)
	if err != nil {
		return app.ExportPlace{}, err
	}
	at = at.Add(-10 * time.Minute)
	n := sort.Search(int(end), func(i int) bool { // whether step i+1 is at or after the time
		var steps []app.AppliedRange
		if err == nil {
			steps, err = e.Store.AppliedAfter(ctx, int64(i), 1)
		}
		return err != nil || len(steps) == 0 || !steps[0].At.Before(at)
	})
	return app.ExportPlace{Step: int64(n)}, err
}

// Records passes the organization's records after a place, at most max, and
// returns the place after them. It reads blocks of about so many bytes. end
// reports whether the ledger's end was reached.
func (e OrgExporter) Records(ctx context.Context, org app.OrgID, after app.ExportPlace, bytes int64, max int,
	each func(*app.ExportRecord) error) (next app.ExportPlace, end bool, err error) {
	p := orgPart{Store: e.Store, org: org, place: after, bytes: bytes, left: max, each: each}
	for {
		steps, err := e.Store.AppliedAfter(ctx, p.place.Step, exportSteps)
		if err != nil || len(steps) == 0 {
			return p.place, true, err
		}
		for _, step := range steps {
			if whole, err := p.step(ctx, step); err != nil || !whole {
				return p.place, false, err
			}
			p.place = app.ExportPlace{Step: step.N}
		}
	}
}

// orgPart is a part that is being read.
type orgPart struct {
	Store ExportStore
	org   app.OrgID
	place app.ExportPlace
	bytes int64 // still to be read
	left  int   // records still to be passed
	each  func(*app.ExportRecord) error
}

// step passes what is left of a step; not whole: the part is full.
func (p *orgPart) step(ctx context.Context, step app.AppliedRange) (whole bool, err error) {
	for from := max(step.From, p.place.Block); from < step.To; {
		some := min(step.To-from, exportBlocks)
		bodies, err := blocksOf(ctx, p.Store, step.Replica, from, int(some))
		if err != nil {
			return false, err
		}
		for _, body := range bodies {
			if p.bytes <= 0 {
				return false, nil
			}
			from++
			p.bytes -= int64(len(body))
			if whole, err := p.block(step, from, body); err != nil || !whole {
				return false, err
			}
			p.place.Block, p.place.Skip = from, 0
		}
	}
	return true, nil
}

// block passes what is left of the organization's records in a block.
func (p *orgPart) block(step app.AppliedRange, seq int64, body []byte) (whole bool, err error) {
	var b Block
	if err := b.decodeOf(step, seq, body); err != nil {
		return false, err
	}
	if !b.mentions(p.org) {
		return true, nil
	}
	skip, full := p.place.Skip, false
	err = exportDecoded(step, &b, func(r *app.ExportRecord) error {
		switch {
		case full || r.Org != p.org:
			return nil
		case skip > 0:
			skip--
			return nil
		case p.left == 0:
			full = true
			return nil
		}
		p.left--
		p.place.Skip++
		return p.each(r)
	})
	return !full, err
}

// mentions reports whether the block may hold records of the organization.
func (b *Block) mentions(org app.OrgID) bool {
	return slices.ContainsFunc(b.Series, func(s Series) bool { return s.Org == org }) ||
		slices.ContainsFunc(b.Meters, func(m MeterSeries) bool { return m.Org == org }) ||
		slices.ContainsFunc(b.Events, func(e Event) bool { return e.Org == org })
}
