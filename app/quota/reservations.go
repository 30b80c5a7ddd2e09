package quota

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gatehouse/app"
)

// Scopes of reservations, for operators; an organization's key needs none for
// its own.
const (
	ScopeReserve          = "reservations:write"
	ScopeReadReservations = "reservations:read"
)

// ReservationSource is the source of the events that count reservations; their
// ids are the reservations'.
const ReservationSource = "gatehouse:reservation"

// ReservationStore keeps reservations. Insert and Change are not ok, and do
// nothing, where the bookings do not fit.
type ReservationStore interface {
	InsertReservation(ctx context.Context, r app.Reservation, bookings []app.QuotaBooking) (loans []app.QuotaLoan, ok bool, err error)
	ChangeReservation(ctx context.Context, org app.OrgID, id string, change func(*app.Reservation) ([]app.QuotaBooking, error)) (r app.Reservation, loans []app.QuotaLoan, ok bool, err error)
	Reservation(ctx context.Context, org app.OrgID, id string) (app.Reservation, error)
	ReservationOwner(ctx context.Context, id string) (app.OrgID, error)
	Reservations(ctx context.Context, org app.OrgID, p app.Page) (app.List[app.Reservation], error)
	DueReservations(ctx context.Context, at time.Time, max int) ([]app.Reservation, error)
	Applied(ctx context.Context, replica int64) (app.LedgerLink, error)
}

// Recorder counts events durably and once.
type Recorder interface {
	Record(ctx context.Context, list []app.Event) ([]app.EventResult, error)
}

// Orgs finds organizations.
type Orgs interface {
	Org(ctx context.Context, id app.OrgID) (app.Org, error)
	OrgBySlug(ctx context.Context, slug string) (app.Org, error)
}

// Reservations lets apps reserve room before long work, tell how it goes, and
// settle by what it took. Any replica may serve any of it.
type Reservations struct {
	Store  ReservationStore
	Engine *Engine // with Books
	Events Recorder
	Orgs   Orgs
	Now    func() time.Time
	Log    *slog.Logger
}

// NewReservation asks for room.
type NewReservation struct {
	Org    string    // id or slug; of an organization's own key may be empty
	Key    app.KeyID // whose quotas count too; of an organization's own key it is that key
	Meter  string
	Dims   string // as app.Use.Dims
	Amount int64
	Life   time.Duration // 0: app.DefaultReservationLife
}

// MaxReservation bounds the amount of a reservation, and what it may use.
const MaxReservation = app.MaxQuotaLimit

func (n NewReservation) check() []app.FieldError {
	var wrong []app.FieldError
	if !app.ValidLabel(n.Meter) {
		wrong = append(wrong, app.FieldError{Field: "meter", Message: "must be 1–40 of a-z 0-9 - _"})
	}
	if n.Amount < 1 || n.Amount > MaxReservation {
		wrong = append(wrong, app.FieldError{Field: "amount", Message: fmt.Sprintf("must be between 1 and %d", int64(MaxReservation))})
	}
	return append(wrong, checkLife(n.Life)...)
}

func checkLife(life time.Duration) []app.FieldError {
	if life != 0 && (life < app.MinReservationLife || life > app.MaxReservationLife) {
		return []app.FieldError{{Field: "life", Message: "must be between 5 seconds and 24 hours"}}
	}
	return nil
}

func checkUsed(used int64) error {
	if used < 0 || used > MaxReservation {
		return app.Invalid("used", "must be between 0 and %d", int64(MaxReservation))
	}
	return nil
}

// owner finds the organization that the actor may reserve for.
func (s *Reservations) owner(ctx context.Context, actor app.Actor, idOrSlug, scope string) (app.Org, error) {
	if actor.Kind == app.ActorKey && actor.OrgID != "" {
		o, err := s.Orgs.Org(ctx, actor.OrgID)
		if err == nil && idOrSlug != "" && idOrSlug != string(o.ID) && idOrSlug != o.Slug {
			return app.Org{}, app.NotFound("organization")
		}
		return o, err
	}
	if err := actor.Require(scope); err != nil {
		return app.Org{}, err
	}
	if idOrSlug == "" {
		return app.Org{}, app.Invalid("org", "must name the organization by its id or slug")
	}
	if strings.HasPrefix(idOrSlug, "org_") {
		return s.Orgs.Org(ctx, app.OrgID(idOrSlug))
	}
	return s.Orgs.OrgBySlug(ctx, idOrSlug)
}

// mine finds whose reservation it is, if the actor may touch it.
func (s *Reservations) mine(ctx context.Context, actor app.Actor, id, scope string) (app.OrgID, error) {
	own := actor.Kind == app.ActorKey && actor.OrgID != ""
	if !own {
		if err := actor.Require(scope); err != nil {
			return "", err
		}
	}
	org, err := s.Store.ReservationOwner(ctx, id)
	if err == nil && own && org != actor.OrgID {
		return "", app.NotFound("reservation")
	}
	return org, err
}

// Reserve books the amount on every quota of the meter, or refuses: see
// Line.Reserve for the errors. A suspended or cancelled organization may not
// reserve. A meter without quota is only counted.
func (s *Reservations) Reserve(ctx context.Context, actor app.Actor, n NewReservation) (app.Reservation, error) {
	org, err := s.owner(ctx, actor, n.Org, ScopeReserve)
	if err != nil {
		return app.Reservation{}, err
	}
	if wrong := n.check(); len(wrong) > 0 {
		return app.Reservation{}, app.InvalidFields(wrong)
	}
	if err := passes(org); err != nil {
		return app.Reservation{}, err
	}
	if actor.Kind == app.ActorKey && actor.OrgID != "" {
		n.Key = actor.KeyID
	}
	if n.Life == 0 {
		n.Life = app.DefaultReservationLife
	}
	now := s.Now().UTC().Truncate(time.Millisecond)
	r := app.Reservation{ID: app.NewID("rsv", now), Org: org.ID, Key: n.Key, Meter: n.Meter, Dims: n.Dims, Amount: n.Amount,
		State: app.ReservationOpen, CreatedAt: now, ExpiresAt: now.Add(n.Life), Life: n.Life, HeardAt: now, Booked: true}
	line, err := s.line(ctx, r)
	if err != nil {
		return app.Reservation{}, err
	}
	bookings := line.bookings(now, n.Amount)
	for _, b := range bookings {
		r.Accounts = append(r.Accounts, *b.Account)
	}
	return r, s.book(ctx, line, now, n.Amount, bookings, func() (loans []app.QuotaLoan, ok bool, err error) {
		return s.Store.InsertReservation(ctx, r, bookings)
	})
}

// passes refuses an organization whose traffic is stopped.
func passes(o app.Org) error {
	switch o.Status {
	case app.OrgStatusSuspended:
		return &app.Error{Kind: app.KindForbidden, Code: "org_suspended", Message: "The organization is suspended.",
			Advice: "Ask the operator why, and to resume it."}
	case app.OrgStatusCancelled:
		return &app.Error{Kind: app.KindForbidden, Code: "org_cancelled", Message: "The organization is cancelled.",
			Advice: "Ask the operator to resume it."}
	}
	return nil
}

func (s *Reservations) line(ctx context.Context, r app.Reservation) (*Line, error) {
	book, err := s.Engine.o.Books(ctx, r.Org)
	if err != nil {
		return nil, err
	}
	return book.Line(r.Key, r.Meter), nil
}

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

// Find answers a reservation of the actor's organization, or for an operator
// any.
func (s *Reservations) Find(ctx context.Context, actor app.Actor, id string) (app.Reservation, error) {
	org, err := s.mine(ctx, actor, id, ScopeReadReservations)
	if err != nil {
		return app.Reservation{}, err
	}
	return s.Store.Reservation(ctx, org, id)
}

// List answers a page of reservations, newest first; the filter is a state. An
// operator who names no organization sees all.
func (s *Reservations) List(ctx context.Context, actor app.Actor, idOrSlug string, page app.Page) (app.List[app.Reservation], error) {
	if idOrSlug == "" && actor.MayManage(ScopeReadReservations) {
		return s.Store.Reservations(ctx, "", page)
	}
	org, err := s.owner(ctx, actor, idOrSlug, ScopeReadReservations)
	if err != nil {
		return app.List[app.Reservation]{}, err
	}
	return s.Store.Reservations(ctx, org.ID, page)
}

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

// finish ends an open reservation. What it booked is given back at once where
// nothing is to be counted; else after that is.
func finish(r *app.Reservation, state app.ReservationState, used int64, now time.Time) []app.QuotaBooking {
	r.State, r.Used, r.EndedAt = state, used, now.UTC().Truncate(time.Millisecond)
	if used == 0 {
		return unbook(r)
	}
	return nil
}

func unbook(r *app.Reservation) (list []app.QuotaBooking) {
	r.Booked = false
	for i := range r.Accounts {
		list = append(list, app.QuotaBooking{Account: &r.Accounts[i], Ceiling: app.NoCeiling, Amount: -r.Amount})
	}
	return list
}

// Extend is a sign of life. It tells what was used so far (less than before
// changes nothing) and may ask for more room, which is booked wholly or
// refused as by Reserve: then the reservation stays as it was, and its life
// too. A life of 0 stays as it is.
func (s *Reservations) Extend(ctx context.Context, actor app.Actor, id string, used, more int64, life time.Duration) (app.Reservation, error) {
	org, err := s.mine(ctx, actor, id, ScopeReserve)
	if err == nil {
		err = checkUsed(used)
	}
	if err == nil && (more < 0 || more > MaxReservation) {
		err = app.Invalid("more", "must be between 0 and %d", int64(MaxReservation))
	}
	if wrong := checkLife(life); err == nil && len(wrong) > 0 {
		err = app.InvalidFields(wrong)
	}
	if err != nil {
		return app.Reservation{}, err
	}
	if o, err := s.Orgs.Org(ctx, org); err != nil {
		return app.Reservation{}, err
	} else if err := passes(o); err != nil {
		return app.Reservation{}, err
	}
	r, err := s.Store.Reservation(ctx, org, id)
	if err != nil {
		return app.Reservation{}, err
	}
	line, err := s.line(ctx, r)
	if err != nil {
		return app.Reservation{}, err
	}
	bookings := line.more(r, more)
	err = s.book(ctx, line, r.CreatedAt, more, bookings, func() (loans []app.QuotaLoan, ok bool, err error) {
		r, loans, ok, err = s.Store.ChangeReservation(ctx, org, id, func(r *app.Reservation) ([]app.QuotaBooking, error) {
			if r.State != app.ReservationOpen {
				return nil, ended(*r)
			}
			if r.Amount+more > MaxReservation {
				return nil, app.Invalid("more", "makes the reservation larger than %d", int64(MaxReservation))
			}
			extend(r, used, more, life, s.Now())
			return bookings, nil
		})
		return loans, ok, err
	})
	return r, err
}

func extend(r *app.Reservation, used, more int64, life time.Duration, now time.Time) {
	if life != 0 {
		r.Life = life
	}
	r.Used, r.Amount = max(r.Used, used), r.Amount+more
	r.HeardAt = now.UTC().Truncate(time.Millisecond)
	r.ExpiresAt = r.HeardAt.Add(r.Life)
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
	_, _, _, err = s.Store.ChangeReservation(ctx, r.Org, r.ID, func(r *app.Reservation) ([]app.QuotaBooking, error) {
		r.Counted.Replica, r.Counted.Seq = result.Replica, max(1, result.Seq)
		return nil, nil
	})
	return err
}
