package quota

import (
	"context"
	"errors"
	"time"

	"gatehouse/app"
)

const (
	sweepEvery = time.Second
	sweepAtOne = 200 // reservations
)

// Run expires reservations whose app fell silent, and gives back what ended
// ones booked, until the context ends. Every replica may run it.
func (s *Reservations) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("reservations were not looked after", "err", err)
		}
	}
}

// Sweep looks after all reservations once.
func (s *Reservations) Sweep(ctx context.Context) error {
	list, err := s.Store.DueReservations(ctx, s.Now(), sweepAtOne)
	for _, r := range list {
		if r.State == app.ReservationOpen {
			var failure error
			if r, failure = s.expire(ctx, r); failure != nil { // nobody knows whether it arrived: the next sweep looks
				err = errors.Join(err, failure)
				continue
			}
		}
		if r.State != app.ReservationOpen && r.Booked {
			err = errors.Join(err, s.giveBack(ctx, r))
		}
	}
	return err
}

func (s *Reservations) expire(ctx context.Context, r app.Reservation) (app.Reservation, error) {
	now := s.Now()
	r, _, _, err := s.Store.ChangeReservation(ctx, r.Org, r.ID, func(r *app.Reservation) ([]app.QuotaBooking, error) {
		if r.State != app.ReservationOpen || r.ExpiresAt.After(now) { // it was heard meanwhile
			return nil, nil
		}
		r.Estimated = true
		return finish(r, app.ReservationExpired, presumed(*r), now), nil
	})
	return r, err
}

// presumed is what a silent reservation used as far as can be known. Agents'
// minutes went on until it would have been heard again at the latest.
func presumed(r app.Reservation) int64 {
	if r.Meter != app.MeterAgentMinutes {
		return r.Used
	}
	ran := r.HeardAt.Add(r.Life).Sub(r.CreatedAt)
	begun := int64((ran + time.Minute - 1) / time.Minute)
	return max(r.Used, min(begun, r.Amount))
}

// giveBack frees what an ended reservation booked, once the block that counts
// it is folded into its accounts: in between both stand, and never neither.
func (s *Reservations) giveBack(ctx context.Context, r app.Reservation) error {
	if r.Counted.Seq == 0 {
		return s.count(ctx, r) // whoever ended it did not come so far
	}
	applied, err := s.Store.Applied(ctx, r.Counted.Replica)
	if err != nil || applied.Seq < r.Counted.Seq {
		return err
	}
	_, _, _, err = s.Store.ChangeReservation(ctx, r.Org, r.ID, func(r *app.Reservation) ([]app.QuotaBooking, error) {
		if !r.Booked {
			return nil, nil
		}
		r.Booked = false
		return unbook(r, min(r.Used, r.Amount)), nil
	})
	return err
}
