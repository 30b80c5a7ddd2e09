package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"gatehouse/app"
)

// reason says why a statement may look past the border of one organization.
type reason string

// tx is one transaction behind a door. Its statements stop when the context
// of the call ends.
type tx struct {
	ctx     context.Context
	sql     *sql.Tx
	dialect dialect
	changes []app.Change
}

// tenant is the door to one organization's data, for writing. The function's
// error rolls everything back. It may not call another door: SQLite has one
// writing connection.
func (s *Store) tenant(ctx context.Context, org app.OrgID, fn func(*tx) error) error {
	if org == "" { // an empty owner would be a statement without a border
		return app.NotFound("organization")
	}
	return s.through(ctx, s.write, false, fn)
}

// tenantRead is the door to one organization's data, for reading.
func (s *Store) tenantRead(ctx context.Context, org app.OrgID, fn func(*tx) error) error {
	if org == "" {
		return app.NotFound("organization")
	}
	return s.through(ctx, s.read, true, fn)
}

// system is the door to what belongs to no organization or to all of them,
// for writing. The reason is for who reviews the call sites.
func (s *Store) system(ctx context.Context, _ reason, fn func(*tx) error) error {
	return s.through(ctx, s.write, false, fn)
}

// systemRead is the door to what belongs to no organization or to all of
// them, for reading.
func (s *Store) systemRead(ctx context.Context, _ reason, fn func(*tx) error) error {
	return s.through(ctx, s.read, true, fn)
}

// through runs fn in a transaction and, when it changed something that nodes
// cache, numbers the changes at its end: the lock on the revision is held only
// from there to the commit, and the numbers follow the order of commits.
func (s *Store) through(ctx context.Context, db *sql.DB, readOnly bool, fn func(*tx) error) error {
	begun, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: readOnly})
	if err != nil {
		return asAppError(ctx, err)
	}
	tx := &tx{ctx: ctx, sql: begun, dialect: s.dialect}
	defer begun.Rollback() // no effect after a commit
	if err = fn(tx); err == nil {
		err = tx.number(s.now())
	}
	if err == nil {
		err = begun.Commit()
	}
	if err != nil {
		return asAppError(ctx, err)
	}
	s.tell(tx.changes)
	return nil
}

// exec runs a statement and answers how many rows it touched.
func (t *tx) exec(query string, args ...any) (int64, error) {
	result, err := t.sql.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row runs a query of one row.
func (t *tx) row(query string, args ...any) *sql.Row {
	return t.sql.QueryRowContext(t.ctx, query, args...)
}

// rows runs a query and scans each row with scan.
func rows[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	found, err := t.sql.QueryContext(t.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	list := []T{}
	for found.Next() {
		item, err := scan(found)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, found.Err()
}

// scanner is a row, of one or of many.
type scanner interface{ Scan(dest ...any) error }

// found turns the absence of a row into the one answer for it, and so a text
// that PostgreSQL cannot hold (and SQLite never finds).
func found(noun string, err error) error {
	if errors.Is(err, sql.ErrNoRows) || postgresCode(err) == postgresBadText {
		return app.NotFound(noun)
	}
	return err
}

// touched is the answer to a write that must have found its row.
func touched(noun string, n int64, err error) error {
	if err == nil && n == 0 {
		return app.NotFound(noun)
	}
	return found(noun, err)
}

// asAppError gives an error of the database the kind that its caller can act
// on; an *app.Error passes as it is.
func asAppError(ctx context.Context, err error) error {
	var known *app.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(ctx.Err(), context.Canceled):
		return &app.Error{Kind: app.KindCancelled, Code: "cancelled", Message: "The request was cancelled.", Err: err}
	case ctx.Err() != nil:
		return away("store_timeout", "The database did not answer in time.", err)
	case isBusy(err):
		return away("store_busy", "The database is busy with other changes.", err)
	case isAway(err):
		return away("store_unavailable", "The database is not available.", err)
	case postgresCode(err) == postgresBadText:
		return &app.Error{Kind: app.KindInvalid, Code: "invalid_input", Err: err,
			Message: "A text is not UTF-8 or holds a NUL character.", Advice: "Correct the text and send it again."}
	}
	return app.AsError(err)
}

func away(code, message string, err error) *app.Error {
	return &app.Error{Kind: app.KindUnavailable, Code: code, Message: message,
		Advice: "Try again in a moment.", RetryAfter: time.Second, Err: err}
}
