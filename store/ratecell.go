package store

import (
	"context"
	"slices"
	"time"

	"gatehouse/app"
)

const rateCellReason reason = "rate limits of all organizations are saved together"

// rateCellBatch is how many cells are saved in one transaction: SQLite has one
// writer, and it should not wait long.
const rateCellBatch = 500

// SaveRateCells inserts or replaces cells, and drops those that are full by
// now: a missing cell is a full one.
func (s *Store) SaveRateCells(ctx context.Context, cells []app.RateCell) error {
	for some := range slices.Chunk(cells, rateCellBatch) {
		err := s.system(ctx, rateCellReason, func(t *tx) error {
			for _, c := range some {
				if err := t.saveRateCell(c); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.system(ctx, rateCellReason, func(t *tx) error {
		_, err := t.exec(`DELETE FROM main.rate_cell WHERE full_at <= $1`, s.now().UnixMilli())
		return err
	})
}

func (t *tx) saveRateCell(c app.RateCell) error {
	fullAt := c.FullAt.Add(time.Millisecond - 1).UnixMilli() // later rather than earlier
	_, err := t.exec(`INSERT INTO main.rate_cell (org_id, cell, requests, window_ms, burst, full_at)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (org_id, cell) DO UPDATE SET requests = excluded.requests,
			window_ms = excluded.window_ms, burst = excluded.burst, full_at = excluded.full_at`,
		string(c.Org), c.Key, c.Requests, c.Window.Std().Milliseconds(), c.Burst, fullAt)
	return err
}

// RateCells returns the cells that are not full yet.
func (s *Store) RateCells(ctx context.Context) (list []app.RateCell, err error) {
	err = s.systemRead(ctx, rateCellReason, func(t *tx) error {
		list, err = rows(t, func(row scanner) (c app.RateCell, err error) {
			var window, fullAt int64
			err = row.Scan(&c.Org, &c.Key, &c.Requests, &window, &c.Burst, &fullAt)
			c.Window = app.Duration(time.Duration(window) * time.Millisecond)
			c.FullAt = time.UnixMilli(fullAt).UTC()
			return c, err
		}, `SELECT org_id, cell, requests, window_ms, burst, full_at FROM rate_cell
			WHERE full_at > $1 ORDER BY org_id, cell`, s.now().UnixMilli())
		return err
	})
	return list, err
}
