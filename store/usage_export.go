package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"gatehouse/app"
)

// AppliedAfter lists the steps in which blocks went into the usage buckets
// after a number, in order, at most max. A step gets its number from a row
// that stays locked until the step is committed, so none appears later below
// one that was seen.
func (l *Ledger) AppliedAfter(ctx context.Context, after int64, max int) (list []app.AppliedRange, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		list, err = rows(t, scanApplied, `SELECT a.n, a.replica, a.from_seq, a.to_seq, a.at,
			(SELECT CAST(COALESCE(SUM(LENGTH(b.body)), 0) AS BIGINT) FROM usage_block b
				WHERE b.replica = a.replica AND b.seq > a.from_seq AND b.seq <= a.to_seq)
			FROM usage_applied a WHERE a.n > $1 ORDER BY a.n LIMIT $2`, after, max)
		return err
	})
	return list, err
}

func scanApplied(row scanner) (r app.AppliedRange, err error) {
	var at int64
	err = row.Scan(&r.N, &r.Replica, &r.From, &r.To, &at, &r.Bytes)
	r.At = time.UnixMilli(at).UTC()
	return r, err
}

// AppliedEnd is the number of the last step; 0: there is none.
func (l *Ledger) AppliedEnd(ctx context.Context) (n int64, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		return t.row(`SELECT COALESCE(MAX(n), 0) FROM usage_applied`).Scan(&n)
	})
	return n, err
}

const exportColumns = `name, after_n, planned, updated_at`

func scanExport(row scanner) (c app.ExportCursor, err error) {
	var updated int64
	err = row.Scan(&c.Name, &c.Cursor, &c.Planned, &updated)
	c.UpdatedAt = time.UnixMilli(updated).UTC()
	return c, err
}

// ExportCursor is how far the destination has come; one that is not known
// stands at the ledger's beginning.
func (l *Ledger) ExportCursor(ctx context.Context, name string) (c app.ExportCursor, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		c, err = t.exportCursor(name)
		return err
	})
	return c, err
}

func (t *tx) exportCursor(name string) (app.ExportCursor, error) {
	c, err := scanExport(t.row(`SELECT `+exportColumns+` FROM usage_export WHERE name = $1`, name))
	if errors.Is(err, sql.ErrNoRows) {
		return app.ExportCursor{Name: name}, nil
	}
	return c, err
}

// ExportCursors lists how far each destination has come.
func (l *Ledger) ExportCursors(ctx context.Context) (list []app.ExportCursor, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		list, err = rows(t, scanExport, `SELECT `+exportColumns+` FROM usage_export ORDER BY name`)
		return err
	})
	return list, err
}

// PlanExport notes that the destination's next object ends at a step, unless
// somebody planned another one meanwhile, and returns what holds.
func (l *Ledger) PlanExport(ctx context.Context, name string, r app.ExportRange) (c app.ExportCursor, err error) {
	err = l.db.system(ctx, ledgerReason, func(t *tx) error {
		_, err := t.exec(`INSERT INTO main.usage_export (`+exportColumns+`) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET planned = excluded.planned, updated_at = excluded.updated_at
			WHERE usage_export.after_n = $2 AND usage_export.planned = $2`, name, r.After, r.Upto, l.db.now().UnixMilli())
		if err != nil {
			return err
		}
		c, err = t.exportCursor(name)
		return err
	})
	return c, err
}

// MoveExport notes that the destination has everything up to the range's end.
// It does nothing when somebody else noted it before.
func (l *Ledger) MoveExport(ctx context.Context, name string, r app.ExportRange) error {
	return l.db.system(ctx, ledgerReason, func(t *tx) error {
		_, err := t.moveExport(name, r, l.db.now())
		return err
	})
}

// moveExport moves the cursor from the range's begin to its end, if it is there.
func (t *tx) moveExport(name string, r app.ExportRange, now time.Time) (moved bool, err error) {
	n, err := t.exec(`INSERT INTO main.usage_export (`+exportColumns+`) VALUES ($1, $3, $3, $4)
		ON CONFLICT (name) DO UPDATE SET after_n = excluded.after_n, planned = excluded.planned, updated_at = excluded.updated_at
		WHERE usage_export.after_n = $2`, name, r.After, r.Upto, now.UnixMilli())
	return n == 1, err
}
