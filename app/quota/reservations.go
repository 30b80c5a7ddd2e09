package quota

import (
	"context"
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
	Meter  func(ctx context.Context, slug string) (app.Meter, error) // nil: every meter is known
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

// Bounds of a reservation, so that sums of them fit 63 bits.
const (
	MaxReservation = 1 << 50 // of its amount, and of what it may use: as much as one event counts
	MaxBeyond      = 1 << 40 // of what it may use beyond its amount: a million dollars, or a tebibyte
)

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
	if err := checkMeter(ctx, s.Meter, n.Meter); err != nil {
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

// Extend is a sign of life. It tells what was used so far (less than before
// changes nothing) and may ask for more room, which is booked wholly or
// refused as by Reserve: then the reservation stays as it was, and its life
// too. A life of 0 stays as it is.
func (s *Reservations) Extend(ctx context.Context, actor app.Actor, id string, used, more int64, life time.Duration) (app.Reservation, error) {
	if err := checkExtension(used, more, life); err != nil {
		return app.Reservation{}, err
	}
	r, err := s.passing(ctx, actor, id)
	if err != nil {
		return app.Reservation{}, err
	}
	line, err := s.line(ctx, r)
	if err != nil {
		return app.Reservation{}, err
	}
	bookings := line.more(r, more)
	err = s.book(ctx, line, r.CreatedAt, more, bookings, func() (loans []app.QuotaLoan, ok bool, err error) {
		r, loans, ok, err = s.Store.ChangeReservation(ctx, r.Org, id, func(r *app.Reservation) ([]app.QuotaBooking, error) {
			if r.State != app.ReservationOpen {
				return nil, ended(*r)
			}
			if r.Amount+more > MaxReservation {
				return nil, app.Invalid("more", "makes the reservation larger than %d", int64(MaxReservation))
			}
			if err := line.join(r, more, bookings); err != nil {
				return nil, err
			}
			extend(r, used, more, life, s.Now())
			return bookings, nil
		})
		return loans, ok, err
	})
	return r, err
}

func checkExtension(used, more int64, life time.Duration) error {
	if err := checkUsed(used); err != nil {
		return err
	}
	if more < 0 || more > MaxReservation {
		return app.Invalid("more", "must be between 0 and %d", int64(MaxReservation))
	}
	if wrong := checkLife(life); len(wrong) > 0 {
		return app.InvalidFields(wrong)
	}
	return nil
}

// passing finds a reservation whose organization's traffic is not stopped.
func (s *Reservations) passing(ctx context.Context, actor app.Actor, id string) (app.Reservation, error) {
	org, err := s.mine(ctx, actor, id, ScopeReserve)
	if err != nil {
		return app.Reservation{}, err
	}
	o, err := s.Orgs.Org(ctx, org)
	if err == nil {
		err = passes(o)
	}
	if err != nil {
		return app.Reservation{}, err
	}
	return s.Store.Reservation(ctx, org, id)
}

func extend(r *app.Reservation, used, more int64, life time.Duration, now time.Time) {
	if life != 0 {
		r.Life = life
	}
	r.Used, r.Amount = max(r.Used, used), r.Amount+more
	r.HeardAt = now.UTC().Truncate(time.Millisecond)
	r.ExpiresAt = r.HeardAt.Add(r.Life)
}
