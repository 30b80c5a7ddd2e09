package store

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"
)

// A column says how a Go value stands in the database. Columns are made from
// pointers, so one list of them serves as arguments and as scan targets.
type column interface {
	driver.Valuer
	sql.Scanner
}

// inMillis keeps a time as Unix milliseconds, the zero time as 0.
func inMillis(at *time.Time) column { return millisColumn{at} }

type millisColumn struct{ at *time.Time }

func (c millisColumn) Value() (driver.Value, error) { return millis(*c.at), nil }

func (c millisColumn) Scan(from any) error {
	ms, ok := from.(int64)
	if !ok {
		return fmt.Errorf("a time column holds %T", from)
	}
	*c.at = fromMillis(ms)
	return nil
}

// millis is the time in Unix milliseconds, 0 for the zero time.
func millis(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

// fromMillis reads what millis wrote, in UTC.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// inJSON keeps a value as JSON text.
func inJSON(value any) column { return jsonColumn{value} }

type jsonColumn struct{ value any }

func (c jsonColumn) Value() (driver.Value, error) {
	raw, err := json.Marshal(c.value)
	return string(raw), err
}

func (c jsonColumn) Scan(from any) error {
	switch text := from.(type) {
	case string:
		return json.Unmarshal([]byte(text), c.value)
	case []byte:
		return json.Unmarshal(text, c.value)
	}
	return fmt.Errorf("a JSON column holds %T", from)
}

// orNull keeps an empty text as NULL, so that it refers to nothing.
func orNull[T ~string](text *T) column { return nullColumn[T]{text} }

type nullColumn[T ~string] struct{ text *T }

func (c nullColumn[T]) Value() (driver.Value, error) {
	if *c.text == "" {
		return nil, nil
	}
	return string(*c.text), nil
}

func (c nullColumn[T]) Scan(from any) error {
	var text sql.NullString
	err := text.Scan(from)
	*c.text = T(text.String)
	return err
}

// inBytes keeps a SHA-256.
func inBytes(hash *[32]byte) column { return hashColumn{hash} }

type hashColumn struct{ hash *[32]byte }

func (c hashColumn) Value() (driver.Value, error) { return c.hash[:], nil }

func (c hashColumn) Scan(from any) error {
	raw, ok := from.([]byte)
	if !ok || len(raw) != len(c.hash) {
		return fmt.Errorf("a hash column holds %T of %d bytes", from, len(raw))
	}
	copy(c.hash[:], raw)
	return nil
}
