package export

import (
	"bufio"
	"context"
	"io"

	"gatehouse/app"
)

// ScopeRead lets an operator's key read every organization's usage, as the
// reports of usage do.
const ScopeRead = "usage:read"

// MaxRecords bounds what one request is answered with, unless the last step in
// it holds more.
const MaxRecords = 1_000_000

// Service writes records to whoever asks for them.
type Service struct{ Source Source }

// Write writes the records after the cursor to w and returns the cursor after
// them: the same as before when there are none. It stops between two steps, at
// the ledger's end or when at least max records are written (0, or more than
// MaxRecords: MaxRecords). The same cursor and max give the same bytes as long
// as the answer did not end at the ledger's end. Only operators with
// usage:read may ask. Nothing is written when it fails at once.
func (s *Service) Write(ctx context.Context, actor app.Actor, w io.Writer, after int64, format string, max int) (next int64, err error) {
	if err := actor.Require(ScopeRead); err != nil {
		return after, err
	}
	if err := CheckFormat(format); err != nil {
		return after, err
	}
	if after < 0 {
		return after, app.Invalid("after", "must not be negative")
	}
	if max <= 0 || max > MaxRecords {
		max = MaxRecords
	}
	next, _, err = write(ctx, s.Source, w, format, after, 0, max)
	return next, err
}

// write writes the records between two cursors and answers how many they are.
func write(ctx context.Context, source Source, w io.Writer, format string, after, upto int64, max int) (next, records int64, err error) {
	buffered := bufio.NewWriterSize(w, 64<<10)
	out := newEncoder(format, buffered)
	if err := out.begin(); err != nil {
		return after, 0, err
	}
	next, err = source.Records(ctx, after, upto, max, func(r *app.ExportRecord) error {
		records++
		return out.write(r)
	})
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return after, records, err
	}
	return next, records, nil
}
