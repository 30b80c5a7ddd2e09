package quota

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"gatehouse/app"
)

// Settle ends a reservation and counts what was used, which may be more than
// was reserved. Settling again answers the same; a reservation that was
// released or has expired is a conflict, reservation_ended.
func (s *Reservations) Settle(ctx context.Context, actor app.Actor, id string, used int64) (app.Reservation, error) {
	if err := checkUsed(used); err != nil {
		return app.Reservation{}, err
	}
	return s.end(ctx, actor, id, app.ReservationSettled, used)
}

// Release ends a reservation of which nothing was used. Releasing again
// answers the same; one that was settled or has expired is a conflict,
// reservation_ended.
func (s *Reservations) Release(ctx context.Context, actor app.Actor, id string) (app.Reservation, error) {
	return s.end(ctx, actor, id, app.ReservationReleased, 0)
}

func (s *Reservations) end(ctx context.Context, actor app.Actor, id string, state app.ReservationState, used int64) (app.Reservation, error) {
	org, err := s.mine(ctx, actor, id, ScopeReserve)
	if err != nil {
		return app.Reservation{}, err
	}
	r, _, _, err := s.Store.ChangeReservation(ctx, org, id, func(r *app.Reservation) ([]app.QuotaBooking, error) {
		if r.State == state {
			return nil, nil
		}
		if r.State != app.ReservationOpen {
			return nil, ended(*r)
		}
		if used > r.Amount+MaxBeyond {
			return nil, app.Invalid("used", "must be at most %d more than what was reserved, %d", int64(MaxBeyond), r.Amount)
		}
		return finish(r, state, used, s.Now()), nil
	})
	if err == nil && r.Booked {
		err = s.count(ctx, r)
	}
	return r, err
}

// ended answers a change of a reservation that ended otherwise.
func ended(r app.Reservation) error {
	e := app.Conflict("reservation_ended", "The reservation %s was %s at %s.", r.ID, r.State, r.EndedAt.Format(time.RFC3339))
	e.Advice = "Reserve again for further work; what this one used is counted as it says."
	return e
}

// finish ends an open reservation. What it booked and did not use is given back
// at once; the rest after it is counted.
func finish(r *app.Reservation, state app.ReservationState, used int64, now time.Time) []app.QuotaBooking {
	r.State, r.Used, r.EndedAt = state, used, now.UTC().Truncate(time.Millisecond)
	r.Booked = used > 0
	return unbook(r, r.Amount-min(used, r.Amount))
}

// count writes what an ended reservation used to the ledger, in the period in
// which it began.
func (s *Reservations) count(ctx context.Context, r app.Reservation) error {
	if r.Counted.Seq != 0 {
		return nil
	}
	body := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d", r.Meter, r.Dims, r.Used))
	event := app.Event{Org: r.Org, Key: r.Key, Source: ReservationSource, ID: r.ID, Type: "gatehouse.reservation", Time: r.CreatedAt,
		Uses: []app.Use{{Meter: r.Meter, Dims: r.Dims, Value: r.Used, Estimated: r.Estimated}}, Import: true}
	copy(event.Body[:], body[:])
	results, err := s.Events.Record(ctx, []app.Event{event})
	if err != nil {
		return err
	}
	result := results[0]
	switch result.Verdict {
	case app.EventAccepted, app.EventDuplicate:
	default:
		return fmt.Errorf("the event of reservation %s: %s %s", r.ID, result.Verdict, result.Reason)
	}
	if result.Seq == 0 { // counted, and nobody knows yet where: the next sweep asks again
		return nil
	}
	_, _, _, err = s.Store.ChangeReservation(ctx, r.Org, r.ID, func(r *app.Reservation) ([]app.QuotaBooking, error) {
		if r.State != app.ReservationOpen && r.Counted.Seq == 0 {
			r.Counted.Replica, r.Counted.Seq = result.Replica, result.Seq
		}
		return nil, nil
	})
	return err
}
