package export

import (
	"context"

	"gatehouse/app"
)

// Scopes of reported usage and of billing customers.
const (
	ScopeBillingRead  = "billing:read"
	ScopeBillingWrite = "billing:write"
)

// Desk lets operators see and repeat what is reported to Stripe.
type Desk struct{ Outbox DeskOutbox }

// DeskOutbox is what a desk sees and does in an Outbox.
type DeskOutbox interface {
	ExportCursor(ctx context.Context, name string) (app.ExportCursor, error)
	ReviveMeterEvents(ctx context.Context, state app.MeterEventState, org app.OrgID, identifier string) (int64, error)
	MeterEvents(ctx context.Context, states []app.MeterEventState, max int) ([]app.MeterEvent, error)
	MeterEventCounts(ctx context.Context) (map[app.MeterEventState]int64, error)
	// MeterEventPage lists events of a state, the newest change first: of an
	// organization, or of all ("").
	MeterEventPage(ctx context.Context, state app.MeterEventState, org app.OrgID, p app.Page) (app.List[app.MeterEvent], error)
}

// StripeStatus is what became of reported usage.
type StripeStatus struct {
	Cursor    int64            `json:"cursor"` // the ledger's step up to which usage is in the outbox
	Due       int64            `json:"due"`
	Waiting   int64            `json:"waiting"`
	Delivered int64            `json:"delivered"` // of the last 35 days
	Parked    int64            `json:"parked"`
	Troubles  []app.MeterEvent `json:"troubles"` // parked and waiting, the newest first
}

// maxTroubles bounds what a status lists.
const maxTroubles = 100

// Status counts events by state and lists those that need somebody.
func (d *Desk) Status(ctx context.Context, actor app.Actor) (s StripeStatus, err error) {
	if err := actor.Require(ScopeBillingRead); err != nil {
		return s, err
	}
	counts, err := d.Outbox.MeterEventCounts(ctx)
	if err != nil {
		return s, err
	}
	c, err := d.Outbox.ExportCursor(ctx, stripeCursor)
	if err != nil {
		return s, err
	}
	s = StripeStatus{Cursor: c.Cursor, Due: counts[app.MeterEventDue], Waiting: counts[app.MeterEventWaiting],
		Delivered: counts[app.MeterEventDelivered], Parked: counts[app.MeterEventParked]}
	s.Troubles, err = d.Outbox.MeterEvents(ctx, []app.MeterEventState{app.MeterEventParked, app.MeterEventWaiting}, maxTroubles)
	return s, err
}

// Events lists events of a state, the newest change first: of an organization,
// or of all ("").
func (d *Desk) Events(ctx context.Context, actor app.Actor, state app.MeterEventState, org app.OrgID, p app.Page) (app.List[app.MeterEvent], error) {
	if err := actor.Require(ScopeBillingRead); err != nil {
		return app.List[app.MeterEvent]{}, err
	}
	return d.Outbox.MeterEventPage(ctx, state, org, p)
}

// Retry makes a parked event due again, or all of them (""), and answers how
// many. Whoever retries one whose answer was lost says that Stripe has not got it.
func (d *Desk) Retry(ctx context.Context, actor app.Actor, identifier string) (int64, error) {
	if err := actor.Require(ScopeBillingWrite); err != nil {
		return 0, err
	}
	n, err := d.Outbox.ReviveMeterEvents(ctx, app.MeterEventParked, "", identifier)
	if err == nil && n == 0 && identifier != "" {
		err = app.NotFound("parked meter event")
	}
	return n, err
}
