// Package export hands usage to others: it writes the ledger's records as CSV
// or JSON Lines to files, S3-compatible storage or whoever asks, and reports
// sums of them to Stripe. Everything follows one cursor, the number of the
// step in which blocks went into the usage buckets, so nothing is left out
// and nothing comes twice, across restarts and however many replicas count.
package export

import (
	"context"

	"gatehouse/app"
)

// Source reads the ledger's records in the order of its steps.
type Source interface {
	// Range is the next part after a cursor, of about so many bytes.
	Range(ctx context.Context, after, bytes int64) (app.ExportRange, error)
	// Records passes the records after a cursor up to another (0: the ledger's
	// end), or until at least max were passed (0: no bound), in the same order
	// every time, and returns the cursor after them. The record is valid during
	// the call.
	Records(ctx context.Context, after, upto int64, max int, each func(*app.ExportRecord) error) (next int64, err error)
}
