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

// more is what a reservation needs to grow: the amount on the accounts on which
// it is booked, and on those that its quotas have meanwhile (such as after a
// change of the plan's time zone) the whole of it, as it will be charged there.
// Nothing stops it on an account whose quota is gone.
func (l *Line) more(r app.Reservation, amount int64) (list []app.QuotaBooking) {
	if amount == 0 {
		return nil
	}
	for i := range r.Accounts {
		list = append(list, app.QuotaBooking{Account: &r.Accounts[i], Ceiling: app.NoCeiling, Amount: amount})
	}
	for i := 0; l != nil && i < len(l.slots); i++ {
		s := &l.slots[i]
		account := s.account(r.CreatedAt.UnixMilli())
		at := slices.Index(r.Accounts, account)
		if at < 0 {
			list = append(list, app.QuotaBooking{Account: &account, Ceiling: s.ceiling, Amount: r.Amount + amount})
			continue
		}
		list[at].Ceiling = s.ceiling
	}
	sortBookings(list)
	return list
}

// join makes the bookings those of a reservation as it is now, and puts it onto
// their accounts. It fails where somebody else put it onto others at once.
func (l *Line) join(r *app.Reservation, amount int64, bookings []app.QuotaBooking) error {
	fresh := l.more(*r, amount)
	if !slices.EqualFunc(fresh, bookings, func(a, b app.QuotaBooking) bool { return *a.Account == *b.Account }) {
		return unavailable(nil)
	}
	for i := range fresh {
		bookings[i].Amount = fresh[i].Amount
		if !slices.Contains(r.Accounts, *fresh[i].Account) {
			r.Accounts = append(r.Accounts, *fresh[i].Account)
		}
	}
	slices.SortFunc(r.Accounts, func(a, b app.Account) int { return a.Compare(&b) })
	return nil
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
