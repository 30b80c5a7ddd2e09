package metering

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/app"
)

// ExportStore reads the ledger step by step.
type ExportStore interface {
	// AppliedAfter lists the steps after a number, in order, at most max.
	AppliedAfter(ctx context.Context, after int64, max int) ([]app.AppliedRange, error)
	// Blocks passes the replica's blocks after a seq, in order, at most max.
	// The body is valid during the call.
	Blocks(ctx context.Context, replica, after int64, max int, each func(seq int64, body []byte) error) error
}

// Bounds of what is read at once.
const (
	rangeSteps   = 1000 // steps in one range
	exportSteps  = 50   // steps in one read
	exportBlocks = 100  // blocks in one read, so that a slow taker holds no snapshot open
)

// Exporter reads the records of the ledger in the order in which they went
// into the usage buckets, so that the sum of what it passed up to a cursor is
// what the buckets held then.
type Exporter struct{ Store ExportStore }

// Range is the next part of the ledger after a cursor: of about so many bytes
// of blocks, at least one step if there is one.
func (e Exporter) Range(ctx context.Context, after, bytes int64) (app.ExportRange, error) {
	r := app.ExportRange{After: after, Upto: after}
	for taken := 0; taken < rangeSteps && bytes > 0; {
		steps, err := e.Store.AppliedAfter(ctx, r.Upto, exportSteps)
		if err != nil || len(steps) == 0 {
			return r, err
		}
		for _, step := range steps {
			if r.Empty() {
				r.At = step.At
			}
			r.Upto = step.N
			taken++
			if bytes -= step.Bytes; bytes <= 0 {
				break
			}
		}
	}
	return r, nil
}

// Records passes the records after a cursor, in the same order every time, and
// returns the cursor after them. It stops between two steps only: at upto (0:
// at the ledger's end), or when it has passed at least max records (0: no bound).
func (e Exporter) Records(ctx context.Context, after, upto int64, max int, each func(*app.ExportRecord) error) (next int64, err error) {
	passed, next := 0, after
	count := func(r *app.ExportRecord) error {
		passed++
		return each(r)
	}
	for {
		steps, err := e.Store.AppliedAfter(ctx, next, exportSteps)
		if err != nil || len(steps) == 0 {
			return next, err
		}
		for _, step := range steps {
			if upto > 0 && step.N > upto || max > 0 && passed >= max {
				return next, nil
			}
			if err := e.step(ctx, step, count); err != nil {
				return next, err
			}
			next = step.N
		}
	}
}

// step passes the records of one step.
func (e Exporter) step(ctx context.Context, step app.AppliedRange, each func(*app.ExportRecord) error) error {
	for from := step.From; from < step.To; {
		some := min(step.To-from, exportBlocks)
		bodies, err := blocksOf(ctx, e.Store, step.Replica, from, int(some))
		if err != nil {
			return err
		}
		for i, body := range bodies {
			if err := exportBlock(step, from+int64(i)+1, body, each); err != nil {
				return err
			}
		}
		from += some
	}
	return nil
}

// blocksOf reads so many blocks of a replica after a seq; none may be missing.
func blocksOf(ctx context.Context, store ExportStore, replica, after int64, some int) (bodies [][]byte, err error) {
	err = store.Blocks(ctx, replica, after, some, func(_ int64, body []byte) error {
		bodies = append(bodies, append([]byte(nil), body...))
		return nil
	})
	if err == nil && len(bodies) != some {
		err = damaged(replica, after+int64(len(bodies))+1, errors.New("a block is missing"))
	}
	return bodies, err
}

func exportBlock(step app.AppliedRange, seq int64, body []byte, each func(*app.ExportRecord) error) error {
	var b Block
	if err := b.decodeOf(step, seq, body); err != nil {
		return err
	}
	return exportDecoded(step, &b, each)
}

// decodeOf decodes a block of a step, which must be the one that it says.
func (b *Block) decodeOf(step app.AppliedRange, seq int64, body []byte) error {
	err := b.Decode(body)
	if err == nil && (b.Replica != step.Replica || b.Seq != seq) {
		err = errShape
	}
	if err != nil {
		return damaged(step.Replica, seq, err)
	}
	return nil
}

// exportDecoded passes the records of a block, kind by kind.
func exportDecoded(step app.AppliedRange, b *Block, each func(*app.ExportRecord) error) error {
	x := exportedBlock{b, step.N, each}
	for _, pass := range []func() error{x.requests, x.settles, x.uses, x.events, x.adjusts} {
		if err := pass(); err != nil {
			return err
		}
	}
	return nil
}

// exportedBlock passes the records of one block, kind by kind.
type exportedBlock struct {
	*Block
	n    int64
	each func(*app.ExportRecord) error
}

// record begins a record; at is in Unix milliseconds.
func (x exportedBlock) record(kind app.ExportKind, index int, at int64) app.ExportRecord {
	return app.ExportRecord{ID: recordID(x.Replica, x.Seq, kind, int64(index)), N: x.n, Kind: kind, At: time.UnixMilli(at).UTC()}
}

func recordID(replica, seq int64, kind app.ExportKind, index int64) string {
	return fmt.Sprintf("%d-%d-%s-%d", replica, seq, kind, index)
}

func (x exportedBlock) requests() error {
	for i := range x.Intents {
		in := &x.Intents[i]
		if in.More() { // what it took stands in its outcome
			continue
		}
		r := x.record(app.ExportRequest, i, in.At)
		s := &x.Series[in.Series]
		r.Org, r.Key, r.Route = s.Org, s.Key, s.Route
		r.Meter, r.Quantity = app.MeterRequests, in.Weight
		if err := x.each(&r); err != nil {
			return err
		}
	}
	return nil
}

func (x exportedBlock) settles() error {
	for i := range x.Settles {
		out := &x.Settles[i]
		r := x.record(app.ExportSettle, i, out.Bucket)
		s := &x.Series[out.Series]
		r.Org, r.Key, r.Route = s.Org, s.Key, s.Route
		r.Request = recordID(x.Replica, out.IntentSeq, app.ExportRequest, out.Index)
		r.Status, r.BytesIn, r.BytesOut = int(out.Status), out.BytesIn, out.BytesOut
		r.Duration = time.Duration(out.Micros) * time.Microsecond
		if err := x.each(&r); err != nil {
			return err
		}
	}
	return nil
}

func (x exportedBlock) uses() error {
	for i := range x.Uses {
		use := &x.Uses[i]
		r := x.record(app.ExportUse, i, use.At)
		x.measure(&r, use.Series, use.Value)
		r.Estimated = use.Estimated
		if err := x.each(&r); err != nil {
			return err
		}
	}
	return nil
}

// measure fills in what the quantity is of.
func (x exportedBlock) measure(r *app.ExportRecord, series int, value int64) {
	m := &x.Meters[series]
	r.Org, r.Key, r.Route = m.Org, m.Key, m.Route
	r.Meter, r.Dims, r.Unique, r.Quantity = m.Meter, m.Dims, m.Unique, value
}

func (x exportedBlock) events() error {
	for i := range x.Events {
		e := &x.Events[i]
		r := x.record(app.ExportEvent, i, e.At)
		r.Org, r.Key = e.Org, e.Key
		r.Source, r.EventID, r.EventType = e.Source, e.ID, e.Type
		r.Received = time.UnixMilli(e.Received).UTC()
		if err := x.each(&r); err != nil {
			return err
		}
	}
	return nil
}

func (x exportedBlock) adjusts() error {
	for i := range x.Adjusts {
		a := &x.Adjusts[i]
		r := x.record(app.ExportAdjust, i, a.At)
		x.measure(&r, a.Series, a.Value)
		r.Reason, r.By = a.Reason, a.By
		if err := x.each(&r); err != nil {
			return err
		}
	}
	return nil
}
