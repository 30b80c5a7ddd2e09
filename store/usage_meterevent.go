package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"gatehouse/app"
)

const meterEventColumns = `identifier, org_id, meter, event_name, value, at, state, attempts, round, next_at, unsure_at, reason, updated_at`

const (
	meterEventWidth = 13  // columns of an event
	longIdentifier  = 128 // bytes of the longest identifier, and more
)

func scanMeterEvent(row scanner) (e app.MeterEvent, err error) {
	var at, next, unsure, updated int64
	err = row.Scan(&e.Identifier, &e.Org, &e.Meter, &e.EventName, &e.Value, &at, &e.State, &e.Attempts, &e.Round,
		&next, &unsure, &e.Reason, &updated)
	e.At, e.NextAt, e.UpdatedAt = time.UnixMilli(at).UTC(), time.UnixMilli(next).UTC(), time.UnixMilli(updated).UTC()
	if unsure != 0 {
		e.UnsureAt = time.UnixMilli(unsure).UTC()
	}
	return e, err
}

func meterEventArgs(e app.MeterEvent, now time.Time) []any {
	unsure := int64(0)
	if !e.UnsureAt.IsZero() {
		unsure = e.UnsureAt.UnixMilli()
	}
	return []any{e.Identifier, string(e.Org), e.Meter, e.EventName, e.Value, e.At.UnixMilli(), string(e.State), e.Attempts, e.Round,
		e.NextAt.UnixMilli(), unsure, e.Reason, now.UnixMilli()}
}

// InsertMeterEvents puts usage of the range into the outbox and moves the
// reporter's cursor behind it, in one transaction. Not ok: somebody else has
// moved it, nothing was done.
func (l *Ledger) InsertMeterEvents(ctx context.Context, name string, r app.ExportRange, list []app.MeterEvent) (ok bool, err error) {
	err = l.db.system(ctx, ledgerReason, func(t *tx) error {
		if ok, err = t.moveExport(name, r, l.db.now()); !ok || err != nil {
			return err
		}
		return t.insertMeterEvents(list, l.db.now())
	})
	return ok && err == nil, err
}

func (t *tx) insertMeterEvents(list []app.MeterEvent, now time.Time) error {
	statement, err := t.sql.PrepareContext(t.ctx, `INSERT INTO main.meter_event (`+meterEventColumns+`) VALUES `+values(1, meterEventWidth))
	if err != nil {
		return err
	}
	defer statement.Close()
	for _, e := range list {
		if _, err := statement.ExecContext(t.ctx, meterEventArgs(e, now)...); err != nil {
			return err
		}
	}
	return nil
}

// ClaimMeterEvents takes due events, at most max, for so long: nobody else
// gets them meanwhile, and who dies with them leaves them due after it.
func (l *Ledger) ClaimMeterEvents(ctx context.Context, max int, hold time.Duration) (list []app.MeterEvent, err error) {
	now := l.db.now()
	err = l.db.system(ctx, ledgerReason, func(t *tx) error {
		list, err = rows(t, scanMeterEvent, `UPDATE main.meter_event SET attempts = attempts + 1, next_at = $2, updated_at = $1
			WHERE state = 'due' AND next_at <= $1 AND identifier IN (
				SELECT identifier FROM meter_event WHERE state = 'due' AND next_at <= $1 ORDER BY next_at, identifier LIMIT $3)
			RETURNING `+meterEventColumns, now.UnixMilli(), now.Add(hold).UnixMilli(), max)
		return err
	})
	return list, err
}

// UpdateMeterEvent keeps what became of a claimed event. Who held it for too
// long changes nothing: another one claimed it.
func (l *Ledger) UpdateMeterEvent(ctx context.Context, e app.MeterEvent) error {
	return l.db.system(ctx, ledgerReason, func(t *tx) error {
		args := meterEventArgs(e, l.db.now())
		_, err := t.exec(`UPDATE main.meter_event SET state = $2, round = $3, next_at = $4, unsure_at = $5, reason = $6, updated_at = $7
			WHERE identifier = $1 AND state = 'due' AND attempts = $8`,
			e.Identifier, string(e.State), e.Round, args[9], args[10], e.Reason, args[12], e.Attempts)
		return err
	})
}

// ReviveMeterEvents makes events of a state due again: those of one
// organization, or of all (”). Parked ones count as never tried. It answers
// how many there were.
func (l *Ledger) ReviveMeterEvents(ctx context.Context, state app.MeterEventState, org app.OrgID, identifier string) (n int64, err error) {
	now := l.db.now().UnixMilli()
	text, args := `UPDATE main.meter_event SET state = 'due', next_at = $1, updated_at = $1, reason = '', round = round + 1,
		unsure_at = CASE WHEN state = 'parked' THEN 0 ELSE unsure_at END
		WHERE state = $2`, []any{now, string(state)}
	if org != "" {
		text, args = text+` AND org_id = $3`, append(args, string(org))
	} else if identifier != "" {
		text, args = text+` AND identifier = $3`, append(args, identifier)
	}
	err = l.db.system(ctx, ledgerReason, func(t *tx) error {
		n, err = t.exec(text, args...)
		return found("meter event", err)
	})
	return n, err
}

// WaitingOrgs lists the organizations whose events wait for a customer.
func (l *Ledger) WaitingOrgs(ctx context.Context) (list []app.OrgID, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		list, err = rows(t, func(row scanner) (org app.OrgID, err error) { return org, row.Scan(&org) },
			`SELECT DISTINCT org_id FROM meter_event WHERE state = 'waiting' ORDER BY org_id`)
		return err
	})
	return list, err
}

// MeterEvents lists events of the states, the newest change first.
func (l *Ledger) MeterEvents(ctx context.Context, states []app.MeterEventState, max int) (list []app.MeterEvent, err error) {
	args, marks := []any{max}, []string{}
	for _, state := range states {
		args = append(args, string(state))
		marks = append(marks, "$"+strconv.Itoa(len(args)))
	}
	err = l.snapshot(ctx, func(t *tx) error {
		list, err = rows(t, scanMeterEvent, `SELECT `+meterEventColumns+` FROM meter_event
			WHERE state IN (`+strings.Join(marks, ", ")+`) ORDER BY updated_at DESC, identifier LIMIT $1`, args...)
		return err
	})
	return list, err
}

// MeterEventPage lists events of a state, the newest change first: those of one
// organization, or of all ("").
func (l *Ledger) MeterEventPage(ctx context.Context, state app.MeterEventState, org app.OrgID, p app.Page) (list app.List[app.MeterEvent], err error) {
	q := listing{columns: meterEventColumns, longID: longIdentifier,
		table: `(SELECT ` + meterEventColumns + `, updated_at AS created_at, identifier AS id FROM meter_event) AS e`}
	q.and(`state = $`, string(state))
	if org != "" {
		q.and(`org_id = $`, string(org))
	}
	err = l.snapshot(ctx, func(t *tx) error {
		list, err = page(t, q, p, scanMeterEvent, func(e app.MeterEvent) (time.Time, string) { return e.UpdatedAt, e.Identifier })
		return err
	})
	return list, err
}

// MeterEventCounts counts the events in each state.
func (l *Ledger) MeterEventCounts(ctx context.Context) (counts map[app.MeterEventState]int64, err error) {
	counts = map[app.MeterEventState]int64{}
	err = l.snapshot(ctx, func(t *tx) error {
		return each(t, func(row scanner) error {
			var (
				state app.MeterEventState
				n     int64
			)
			err := row.Scan(&state, &n)
			counts[state] = n
			return err
		}, `SELECT state, COUNT(*) FROM meter_event GROUP BY state`)
	})
	return counts, err
}

// DeleteDeliveredMeterEvents forgets events that were delivered before a time.
func (l *Ledger) DeleteDeliveredMeterEvents(ctx context.Context, before time.Time) error {
	return l.db.system(ctx, ledgerReason, func(t *tx) error {
		_, err := t.exec(`DELETE FROM main.meter_event WHERE state = 'delivered' AND updated_at < $1`, before.UnixMilli())
		return err
	})
}
