package quota

import (
	"context"
	"slices"
	"time"

	"gatehouse/app"
)

// book tries to book: looks openings up, and gives back what this replica was
// lent and does not use before it refuses.
func (s *Reservations) book(ctx context.Context, line *Line, at time.Time, wanted int64, bookings []app.QuotaBooking, try func() ([]app.QuotaLoan, bool, error)) error {
	for gaveBack := false; ; {
		loans, ok, err := try()
		if err != nil || ok {
			return err
		}
		missing := false
		for i, loan := range loans {
			if !loan.Missing {
				continue
			}
			missing = true
			opening, err := s.Engine.opening(ctx, *bookings[i].Account)
			if err != nil {
				return unavailable(err)
			}
			bookings[i].Opening = &opening
		}
		if missing {
			continue
		}
		if gaveBack {
			return line.short(at, wanted, bookings, loans, s.Now())
		}
		if gaveBack = true; s.Engine.giveBackAll(ctx, line.book.org) != nil {
			return line.short(at, wanted, bookings, loans, s.Now())
		}
	}
}

// bookings is what an amount needs on each quota of the line, sorted by account.
func (l *Line) bookings(at time.Time, amount int64) (list []app.QuotaBooking) {
	if l == nil {
		return nil
	}
	for i := range l.slots {
		account := l.slots[i].account(at.UnixMilli())
		list = append(list, app.QuotaBooking{Account: &account, Ceiling: l.slots[i].ceiling, Amount: amount})
	}
	sortBookings(list)
	return list
}

// short is the refusal by the first account that does not fit.
func (l *Line) short(at time.Time, wanted int64, bookings []app.QuotaBooking, loans []app.QuotaLoan, now time.Time) error {
	for i, b := range bookings {
		if b.Amount <= loans[i].Left {
			continue
		}
		for j := range l.slots {
			if s := &l.slots[j]; s.account(at.UnixMilli()) == *b.Account {
				return s.exhausted(&balance{Account: *b.Account, state: loans[i].State}, wanted, now)
			}
		}
	}
	return unavailable(nil)
}

// more is what a reservation needs to grow, on the accounts on which it is
// booked: where the quota is gone, nothing stops it.
func (l *Line) more(r app.Reservation, amount int64) (list []app.QuotaBooking) {
	if amount == 0 {
		return nil
	}
	for i := range r.Accounts {
		b := app.QuotaBooking{Account: &r.Accounts[i], Ceiling: app.NoCeiling, Amount: amount}
		for j := 0; l != nil && j < len(l.slots); j++ {
			if s := &l.slots[j]; s.account(r.CreatedAt.UnixMilli()) == *b.Account {
				b.Ceiling = s.ceiling
			}
		}
		list = append(list, b)
	}
	return list
}

// unbook gives back so much of what the reservation booked.
func unbook(r *app.Reservation, amount int64) (list []app.QuotaBooking) {
	if amount == 0 {
		return nil
	}
	for i := range r.Accounts {
		list = append(list, app.QuotaBooking{Account: &r.Accounts[i], Ceiling: app.NoCeiling, Amount: -amount})
	}
	return list
}

// giveBackAll gives back everything that this replica was lent of the
// organization's and does not use.
func (e *Engine) giveBackAll(ctx context.Context, o *org) error {
	select {
	case o.slow <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := e.ascertain(ctx, o); err != nil {
		<-o.slow
		return err
	}
	everything := o.spare(func(*balance) bool { return true }, e.o.Now())
	return e.deliver(ctx, []parcel{{org: o, balances: everything}})
}

func sortBookings(list []app.QuotaBooking) {
	slices.SortFunc(list, func(a, b app.QuotaBooking) int { return a.Account.Compare(b.Account) })
}
