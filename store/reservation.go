package store

import (
	"context"
	"errors"
	"time"

	"gatehouse/app"
)

const reservationReason reason = "reservations are booked on accounts, which are locked in one order"

const reservationColumns = `id, org_id, key_id, meter, dims, amount, used, state, estimated, life, accounts, created_at, heard_at,
	expires_at, ended_at, event_replica, event_seq, booked`

const reservationWidth = 18

func reservationArgs(r *app.Reservation) []any {
	return []any{r.ID, string(r.Org), string(r.Key), r.Meter, r.Dims, r.Amount, r.Used, string(r.State), r.Estimated,
		r.Life.Milliseconds(), inJSON(&r.Accounts), millis(r.CreatedAt), millis(r.HeardAt), millis(r.ExpiresAt), millis(r.EndedAt),
		r.Counted.Replica, r.Counted.Seq, r.Booked}
}

func scanReservation(row scanner) (r app.Reservation, err error) {
	var life int64
	err = row.Scan(&r.ID, &r.Org, &r.Key, &r.Meter, &r.Dims, &r.Amount, &r.Used, &r.State, &r.Estimated,
		&life, inJSON(&r.Accounts), inMillis(&r.CreatedAt), inMillis(&r.HeardAt), inMillis(&r.ExpiresAt), inMillis(&r.EndedAt),
		&r.Counted.Replica, &r.Counted.Seq, &r.Booked)
	r.Life = time.Duration(life) * time.Millisecond
	return r, err
}

// errShort rolls a transaction back whose bookings do not fit.
var errShort = errors.New("a booking does not fit")

// InsertReservation books and adds the reservation, or does nothing. It is not
// ok when an account is new and has no opening (Missing), or when a booking
// does not fit: Left of its loan says what would. Bookings are sorted by
// account, one for each.
func (l *Ledger) InsertReservation(ctx context.Context, r app.Reservation, bookings []app.QuotaBooking) (loans []app.QuotaLoan, ok bool, err error) {
	err = l.db.system(ctx, reservationReason, func(t *tx) error {
		if loans, err = t.book(bookings, l.db.now()); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO main.quota_reservation (`+reservationColumns+`) VALUES `+values(1, reservationWidth), reservationArgs(&r)...)
		return err
	})
	if errors.Is(err, errMissing) || errors.Is(err, errShort) {
		return loans, false, nil
	}
	return loans, err == nil, err
}

// ChangeReservation changes a reservation in one step, with what change wants
// booked or given back beside. It may run twice and must be quick. As with
// InsertReservation it is not ok, and nothing is changed, when a booking does
// not fit; an error of change leaves everything as it was.
func (l *Ledger) ChangeReservation(ctx context.Context, org app.OrgID, id string, change func(*app.Reservation) ([]app.QuotaBooking, error)) (r app.Reservation, loans []app.QuotaLoan, ok bool, err error) {
	err = l.db.system(ctx, reservationReason, func(t *tx) error {
		r, err = scanReservation(t.row(`SELECT `+reservationColumns+` FROM quota_reservation WHERE org_id = $1 AND id = $2`+t.dialect.lockRow, org, id))
		if err != nil {
			return found("reservation", err)
		}
		bookings, err := change(&r)
		if err != nil {
			return err
		}
		if loans, err = t.book(bookings, l.db.now()); err != nil {
			return err
		}
		_, err = t.exec(`UPDATE main.quota_reservation SET amount = $3, used = $4, state = $5, estimated = $6, life = $7, heard_at = $8,
			expires_at = $9, ended_at = $10, event_replica = $11, event_seq = $12, booked = $13, accounts = $14 WHERE org_id = $1 AND id = $2`,
			org, id, r.Amount, r.Used, string(r.State), r.Estimated, r.Life.Milliseconds(), millis(r.HeardAt),
			millis(r.ExpiresAt), millis(r.EndedAt), r.Counted.Replica, r.Counted.Seq, r.Booked, inJSON(&r.Accounts))
		return err
	})
	if errors.Is(err, errMissing) || errors.Is(err, errShort) {
		return r, loans, false, nil
	}
	if err != nil { // what change made of it is not there
		return app.Reservation{}, nil, false, err
	}
	return r, loans, true, nil
}

// book adds the amounts to what is booked, all or none.
func (t *tx) book(list []app.QuotaBooking, now time.Time) ([]app.QuotaLoan, error) {
	loans := make([]app.QuotaLoan, len(list))
	var missing, short bool
	for i, b := range list {
		opened, err := t.openAccount(b.Account, b.Opening, now)
		if err != nil {
			return nil, err
		}
		if loans[i].Missing = !opened; !opened {
			missing = true
			continue
		}
		r, err := t.room(0, b.Account, b.Ceiling)
		if err != nil {
			return nil, err
		}
		loans[i].Left, loans[i].State = r.left, r.state
		short = short || b.Amount > 0 && b.Amount > r.left
	}
	switch {
	case missing:
		return loans, errMissing
	case short:
		return loans, errShort
	}
	at, err := t.changing(now.UnixMilli())
	if err != nil {
		return nil, err
	}
	for _, b := range list {
		_, err := t.exec(`UPDATE main.quota_account SET booked = booked + $6, updated_at = `+laterChange(`$7`)+`
			WHERE org_id = $1 AND key_id = $2 AND meter = $3 AND period = $4 AND start_at = $5`,
			append(accountArgs(nil, b.Account), b.Amount, at)...)
		if err != nil {
			return nil, err
		}
	}
	return loans, nil
}

// Reservation finds a reservation of the organization.
func (l *Ledger) Reservation(ctx context.Context, org app.OrgID, id string) (r app.Reservation, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		r, err = scanReservation(t.row(`SELECT `+reservationColumns+` FROM quota_reservation WHERE org_id = $1 AND id = $2`, org, id))
		return found("reservation", err)
	})
	return r, err
}

// ReservationOwner tells whose the reservation is.
func (l *Ledger) ReservationOwner(ctx context.Context, id string) (org app.OrgID, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		return found("reservation", t.row(`SELECT org_id FROM quota_reservation WHERE id = $1`, id).Scan(&org))
	})
	return org, err
}

// Reservations lists the organization's (or all, when it is empty), newest
// first. The filter is a state.
func (l *Ledger) Reservations(ctx context.Context, org app.OrgID, p app.Page) (list app.List[app.Reservation], err error) {
	q := listing{columns: reservationColumns, table: "quota_reservation"}
	if org != "" {
		q.and(`org_id = $`, string(org))
	}
	switch app.ReservationState(p.Filter) {
	case "":
	case app.ReservationOpen, app.ReservationSettled, app.ReservationReleased, app.ReservationExpired:
		q.and(`state = $`, p.Filter)
	default:
		return list, app.Invalid("filter", "must be open, settled, released or expired")
	}
	err = l.snapshot(ctx, func(t *tx) error {
		list, err = page(t, q, p, scanReservation, func(r app.Reservation) (time.Time, string) { return r.CreatedAt, r.ID })
		return err
	})
	return list, err
}

// DueReservations lists at most max open reservations that expired by the
// time, and then at most max that ended and are still booked.
func (l *Ledger) DueReservations(ctx context.Context, at time.Time, max int) (list []app.Reservation, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		expired, err := rows(t, scanReservation, `SELECT `+reservationColumns+` FROM quota_reservation
			WHERE state = 'open' AND expires_at <= $1 ORDER BY expires_at LIMIT $2`, millis(at), max)
		if err != nil {
			return err
		}
		ended, err := rows(t, scanReservation, `SELECT `+reservationColumns+` FROM quota_reservation
			WHERE booked AND state <> 'open' ORDER BY ended_at LIMIT $1`, max)
		list = append(expired, ended...)
		return err
	})
	return list, err
}
