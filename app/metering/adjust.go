package metering

import (
	"context"
	"time"

	"gatehouse/app"
)

// ScopeWrite lets an operator's key correct usage.
const ScopeWrite = "usage:write"

// Corrected is what writes corrections: Events, or a Ledger that was lent
// nothing of quotas. Where a Ledger serves requests, its engine would take a
// correction for what it lent.
type Corrected interface {
	correct(ctx context.Context, p pendingAdjust) error
}

// Adjuster corrects usage in the ledger, for ever with its reason.
type Adjuster struct {
	Ledger Corrected
	Meters MeterFinder // of meters that are not built in; nil: there are none
	// Draws returns what a correction changes of quotas' accounts; nil: nothing.
	Draws func(ctx context.Context, org app.OrgID, key app.KeyID, meter string, at time.Time, amount int64) ([]app.Draw, error)
}

// Adjust adds the correction's value to usage, and returns when that is
// durable. Of the gate's own meters it is the report of the meter that shows
// it, and not the buckets of requests.
func (a Adjuster) Adjust(ctx context.Context, actor app.Actor, c app.Adjustment) error {
	if err := actor.Require(ScopeWrite); err != nil {
		return err
	}
	meter, err := Reports{Meters: a.Meters}.findMeter(ctx, c.Meter)
	if err != nil {
		return err
	}
	if wrong := checkAdjustment(c, meter); len(wrong) > 0 {
		return app.InvalidFields(wrong)
	}
	pending := pendingAdjust{Adjustment: c, by: actor.String()}
	if a.Draws != nil {
		if pending.draws, err = a.Draws(ctx, c.Org, c.Key, c.Meter, c.At, c.Value); err != nil {
			return err
		}
	}
	return a.Ledger.correct(ctx, pending)
}

func checkAdjustment(c app.Adjustment, m app.Meter) (wrong []app.FieldError) {
	add := func(field, message string) { wrong = append(wrong, app.FieldError{Field: field, Message: message}) }
	if c.Org == "" {
		add("org_id", "must name an organization")
	}
	// The gate sums durations in microseconds: a correction would be of another unit.
	if m.Aggregation != app.AggregationSum && m.Aggregation != app.AggregationCount || m.Slug == app.MeterDuration {
		add("meter", "must be one that counts or sums, and not the duration of requests")
	}
	if c.Value == 0 || c.Value != between(-maxValue, c.Value, maxValue) {
		add("value", "must be a number other than 0, at most 2^50 either way")
	}
	if c.Reason == "" || len(c.Reason) > 500 {
		add("reason", "must have 1–500 characters: it stays in the ledger")
	}
	if c.At.Year() < 2000 || c.At.Year() > 9999 {
		add("at", "must be a time from 2000 on")
	}
	return wrong
}

func (l *Ledger) correct(ctx context.Context, p pendingAdjust) error {
	ticket := l.adjust(p)
	return ticket.Wait(ctx)
}

// correct waits as long as it takes: who is told that it is not counted, and
// tries again, must not correct twice.
func (e *Events) correct(ctx context.Context, p pendingAdjust) error {
	b := &eventBatch{adjusts: []pendingAdjust{p}, done: make(chan struct{})}
	if err := e.enqueue(b); err != nil {
		return err
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return &app.Error{Kind: app.KindCancelled, Code: "cancelled",
			Message: "The request was cancelled while its correction was being written; it may be counted.",
			Advice:  "Look at the meter's usage before you correct it again.", Err: context.Cause(ctx)}
	}
}

// adjust joins the next block.
func (l *Ledger) adjust(p pendingAdjust) Ticket {
	t := Ticket{ledger: l, index: receiptIndex}
	l.mu.Lock()
	if l.refused != nil || len(l.adjusts) >= l.o.MaxPending {
		t.group = l.refusal()
		l.mu.Unlock()
		return t
	}
	t.group = l.open
	l.adjusts = append(l.adjusts, p)
	wake := l.rouse(forIntent)
	l.mu.Unlock()
	l.ring(wake)
	return t
}
