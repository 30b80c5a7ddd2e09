package export

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gatehouse/app"
)

// Outbox keeps usage on its way to a provider.
type Outbox interface {
	// AppliedEnd is the number of the ledger's last step.
	AppliedEnd(ctx context.Context) (int64, error)
	// ExportCursor is how far the provider's usage has been put here.
	ExportCursor(ctx context.Context, name string) (app.ExportCursor, error)
	// InsertMeterEvents keeps the events and moves the cursor behind the range,
	// in one transaction. Not ok: it has moved already, nothing was done.
	InsertMeterEvents(ctx context.Context, name string, r app.ExportRange, list []app.MeterEvent) (ok bool, err error)
	// ClaimMeterEvents takes due events, which nobody else gets for so long.
	ClaimMeterEvents(ctx context.Context, max int, hold time.Duration) ([]app.MeterEvent, error)
	// UpdateMeterEvent keeps what became of a claimed event.
	UpdateMeterEvent(ctx context.Context, e app.MeterEvent) error
	// ReviveMeterEvents makes events of a state due again: of an organization,
	// or one, or all.
	ReviveMeterEvents(ctx context.Context, state app.MeterEventState, org app.OrgID, identifier string) (int64, error)
	// WaitingOrgs lists the organizations whose events wait for a customer.
	WaitingOrgs(ctx context.Context) ([]app.OrgID, error)
	DeleteDeliveredMeterEvents(ctx context.Context, before time.Time) error
}

// Customers knows organizations as a provider does.
type Customers interface {
	// BillingCustomer is not found when the organization has none.
	BillingCustomer(ctx context.Context, org app.OrgID, provider app.BillingProvider) (app.BillingCustomer, error)
}

// StripeOptions of a Stripe reporter.
type StripeOptions struct {
	Source    Source
	Outbox    Outbox
	Customers Customers
	Meters    map[string]string // meters that are reported, and Stripe's event name of each
	SecretKey string
	URL       string           // default: https://api.stripe.com
	Every     time.Duration    // how often usage is summed and sent; default: a minute
	Allow     bool             // the address may be private: for tests and proxies
	Now       func() time.Time // default: time.Now
	Log       *slog.Logger     // default: discards
}

// stripeCursor is the reporter's name among the destinations.
const stripeCursor = "stripe"

// Stripe reports usage as meter events. Usage goes into an outbox first, in
// one transaction with the cursor: so each quantity is in it once, under an
// identifier that stays, and Stripe refuses an identifier that it has.
type Stripe struct {
	o      StripeOptions
	client *stripeClient
}

// NewStripe returns a reporter; Run runs it.
func NewStripe(o StripeOptions) *Stripe {
	if o.URL == "" {
		o.URL = "https://api.stripe.com"
	}
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Stripe{o, newStripeClient(o)}
}

// Run sums and sends what is new, every so often, until the context ends.
func (s *Stripe) Run(ctx context.Context) {
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	for {
		if err := s.Once(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Error("usage cannot be reported to Stripe", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Once puts all new usage into the outbox, and sends what is due.
func (s *Stripe) Once(ctx context.Context) error {
	if err := s.collect(ctx); err != nil {
		return err
	}
	if err := s.wake(ctx); err != nil {
		return err
	}
	if err := s.send(ctx); err != nil {
		return err
	}
	return s.o.Outbox.DeleteDeliveredMeterEvents(ctx, s.o.Now().Add(-keepDelivered))
}

// keepDelivered is how long delivered events can be looked at.
const keepDelivered = 35 * 24 * time.Hour

// collect moves new usage into the outbox. It begins with what is counted
// after it ran for the first time: what was used before is not billed
// unasked. What is not mapped when it is counted is not reported either.
func (s *Stripe) collect(ctx context.Context) error {
	for {
		c, err := s.o.Outbox.ExportCursor(ctx, stripeCursor)
		if err == nil && c.UpdatedAt.IsZero() {
			c.Cursor, err = s.begin(ctx)
		}
		if err != nil {
			return err
		}
		r, err := s.o.Source.Range(ctx, c.Cursor, DefaultBytes)
		if err != nil || r.Empty() {
			return err
		}
		list, err := s.sum(ctx, r)
		if err != nil {
			return err
		}
		if _, err := s.o.Outbox.InsertMeterEvents(ctx, stripeCursor, r, list); err != nil {
			return err
		}
	}
}

// begin puts the cursor at the ledger's end.
func (s *Stripe) begin(ctx context.Context) (int64, error) {
	end, err := s.o.Outbox.AppliedEnd(ctx)
	if err == nil {
		_, err = s.o.Outbox.InsertMeterEvents(ctx, stripeCursor, app.ExportRange{Upto: end}, nil)
	}
	return end, err
}

// reported names a sum: usage is not mixed over buckets, so that it falls into
// the billing period that it belongs to.
type reported struct {
	org    app.OrgID
	meter  string
	bucket int64 // start in Unix milliseconds
}

// sum adds up the range's usage of the mapped meters.
func (s *Stripe) sum(ctx context.Context, r app.ExportRange) ([]app.MeterEvent, error) {
	sums := map[reported]*app.MeterEvent{}
	next, err := s.o.Source.Records(ctx, r.After, r.Upto, 0, func(record *app.ExportRecord) error {
		for meter, quantity := range quantities(record) {
			if name := s.o.Meters[meter]; name != "" && record.Org != "" {
				add(sums, record, meter, name, quantity)
			}
		}
		return nil
	})
	if err == nil && next != r.Upto {
		err = fmt.Errorf("the records end at step %d, not at %d", next, r.Upto)
	}
	return s.events(sums, r.Upto), err
}

// quantities is what the record adds to meters. Members of a set, and largest
// and latest values, are not sums: their meters cannot be mapped.
func quantities(r *app.ExportRecord) map[string]int64 {
	switch {
	case r.Kind == app.ExportSettle:
		out := app.Outcome{BytesIn: r.BytesIn, BytesOut: r.BytesOut, Duration: r.Duration}
		return map[string]int64{app.MeterBytes: out.Quantity(app.MeterBytes), app.MeterDuration: out.Quantity(app.MeterDuration)}
	case measured(r.Kind) && !r.Unique:
		return map[string]int64{r.Meter: r.Quantity}
	}
	return nil
}

func add(sums map[reported]*app.MeterEvent, r *app.ExportRecord, meter, name string, quantity int64) {
	key := reported{r.Org, meter, app.BucketStart(r.At.UnixMilli())}
	sum := sums[key]
	if sum == nil {
		sum = &app.MeterEvent{Org: r.Org, Meter: meter, EventName: name, At: r.At, State: app.MeterEventDue}
		sums[key] = sum
	}
	sum.Value += quantity
	if r.At.After(sum.At) {
		sum.At = r.At
	}
}

// events lists the sums under their identifiers. A sum of nothing is no event.
func (s *Stripe) events(sums map[reported]*app.MeterEvent, n int64) []app.MeterEvent {
	var list []app.MeterEvent
	for key, sum := range sums {
		if sum.Value == 0 {
			continue
		}
		// Stripe takes 100 characters; an organization's id has 30, a meter's
		// slug at most 40, the bucket's number 7.
		sum.Identifier = fmt.Sprintf("gh_%d_%s_%s_%d", n, key.org, key.meter, key.bucket/app.BucketLength.Milliseconds())
		sum.NextAt = later(s.o.Now().UTC(), sum.At) // Stripe takes events of at most 5 minutes in the future
		list = append(list, *sum)
	}
	slices.SortFunc(list, func(a, b app.MeterEvent) int { return cmp.Compare(a.Identifier, b.Identifier) })
	return list
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// wake makes events due whose organization has a customer by now.
func (s *Stripe) wake(ctx context.Context) error {
	waiting, err := s.o.Outbox.WaitingOrgs(ctx)
	for _, org := range waiting {
		_, err := s.o.Customers.BillingCustomer(ctx, org, app.BillingStripe)
		if app.IsKind(err, app.KindNotFound) {
			continue
		}
		if err == nil {
			_, err = s.o.Outbox.ReviveMeterEvents(ctx, app.MeterEventWaiting, org, "")
		}
		if err != nil {
			return err
		}
	}
	return err
}
