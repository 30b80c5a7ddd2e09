package export

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"gatehouse/app"
)

const (
	stripeBatch = 20 // events claimed at once, for as long as sending them may take
	// stripeLanes is how many are sent at once. Stripe takes 1,000 a second, and
	// of one customer and meter one at a time
	// (https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api).
	stripeLanes = 4
	// stripePast is how old an event may be there: 35 days, less an hour for
	// clocks and retries (https://docs.stripe.com/api/billing/meter-event/create).
	stripePast = 35*24*time.Hour - time.Hour
	// stripeUnsure is how long Stripe surely remembers an identifier: 24 hours
	// (same page), less an hour. Past that a repetition could count twice.
	stripeUnsure = 23 * time.Hour

	firstPause   = time.Second
	longestPause = 10 * time.Minute
)

// send sends what is due, until nothing is.
func (s *Stripe) send(ctx context.Context) error {
	for {
		list, err := s.o.Outbox.ClaimMeterEvents(ctx, stripeBatch, stripeBatch*stripeTimeout)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := s.sendAll(ctx, list); err != nil {
			return err
		}
	}
}

// sendAll sends events, those of one organization and meter one by one.
func (s *Stripe) sendAll(ctx context.Context, list []app.MeterEvent) error {
	type lane struct {
		org   app.OrgID
		meter string
	}
	lanes := map[lane][]app.MeterEvent{}
	for _, e := range list {
		key := lane{e.Org, e.Meter}
		lanes[key] = append(lanes[key], e)
	}
	var (
		wait  sync.WaitGroup
		room  = make(chan struct{}, stripeLanes)
		mu    sync.Mutex
		whole error
	)
	for _, events := range lanes {
		room <- struct{}{}
		wait.Go(func() {
			defer func() { <-room }()
			if err := s.sendLane(ctx, events); err != nil {
				mu.Lock()
				whole = errors.Join(whole, err)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return whole
}

// sendLane sends events one by one. What it does not come to is due at once:
// nothing of it was sent.
func (s *Stripe) sendLane(ctx context.Context, events []app.MeterEvent) error {
	for i, e := range events {
		err := s.sendOne(ctx, e)
		if err == nil {
			continue
		}
		for _, left := range events[i+1:] {
			left.NextAt = later(s.o.Now().UTC(), left.At)
			err = errors.Join(err, s.o.Outbox.UpdateMeterEvent(context.WithoutCancel(ctx), left))
		}
		return err
	}
	return nil
}

// sendOne sends a claimed event and keeps what became of it. An error means
// that the rest cannot be sent now either.
func (s *Stripe) sendOne(ctx context.Context, e app.MeterEvent) error {
	now := s.o.Now().UTC()
	customer, err := s.o.Customers.BillingCustomer(ctx, e.Org, app.BillingStripe)
	switch {
	case app.IsKind(err, app.KindNotFound):
		e.State, e.Reason = app.MeterEventWaiting, "The organization has no customer at Stripe yet."
		return s.o.Outbox.UpdateMeterEvent(ctx, e)
	case err != nil:
		return err
	case now.Sub(e.At) > stripePast:
		e.State, e.Reason = app.MeterEventParked, "It is older than the 35 days that Stripe takes."
		return s.o.Outbox.UpdateMeterEvent(ctx, e)
	case !e.UnsureAt.IsZero() && now.Sub(e.UnsureAt) > stripeUnsure:
		e.State = app.MeterEventParked
		e.Reason = "Stripe's answer was lost more than a day ago: look there whether it has the identifier, and retry only if not."
		return s.o.Outbox.UpdateMeterEvent(ctx, e)
	}
	before := e.UnsureAt
	if before.IsZero() { // noted first: a crash in between leaves the outcome unknown
		e.UnsureAt = now
		if err := s.o.Outbox.UpdateMeterEvent(ctx, e); err != nil {
			return err
		}
	}
	answer := s.client.report(ctx, e, customer.Customer)
	if answer.known { // this try changed nothing; an earlier one may have
		e.UnsureAt = before
	}
	return errors.Join(s.o.Outbox.UpdateMeterEvent(context.WithoutCancel(ctx), s.settled(e, answer)), answer.stop)
}

// settled is the event after an answer.
func (s *Stripe) settled(e app.MeterEvent, a stripeAnswer) app.MeterEvent {
	e.Reason = a.reason
	if a.fresh {
		e.Round++
	}
	switch {
	case a.delivered:
		e.State = app.MeterEventDelivered
	case a.parked:
		e.State = app.MeterEventParked
	default:
		e.NextAt = s.o.Now().UTC().Add(max(a.after, pause(e.Attempts)))
	}
	return e
}

// pause grows with each attempt; half of it is chance, so that events which
// failed together do not come back together.
func pause(attempts int64) time.Duration {
	whole := min(longestPause, firstPause<<min(attempts, 20))
	return whole/2 + rand.N(whole/2)
}
