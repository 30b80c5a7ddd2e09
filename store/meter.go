package store

import (
	"context"
	"time"

	"gatehouse/app"
)

const meterReason reason = "meters belong to no organization"

const meterNounColumns = `slug, name, unit, aggregation, event_type, value, dimensions, created_at, updated_at`

func scanMeter(row scanner) (m app.Meter, err error) {
	return m, row.Scan(&m.Slug, &m.Name, &m.Unit, &m.Aggregation, &m.EventType, &m.Value, inJSON(&m.Dimensions),
		inMillis(&m.CreatedAt), inMillis(&m.UpdatedAt))
}

// Meters lists the meters that are not built in, by slug.
func (s *Store) Meters(ctx context.Context) (list []app.Meter, err error) {
	err = s.systemRead(ctx, meterReason, func(tx *tx) error {
		list, err = tx.meters("")
		return err
	})
	return list, err
}

func (t *tx) meters(suffix string) ([]app.Meter, error) {
	return rows(t, scanMeter, `SELECT `+meterNounColumns+` FROM meter ORDER BY slug`+suffix)
}

// UpsertMeters makes the meters what the list says, all or none; others stay.
// There are at most app.MaxMeters. The aggregation of a meter that exists stays
// what it is: conflict meter_aggregation. A meter that quotas name must add up:
// conflict meter_in_use.
func (s *Store) UpsertMeters(ctx context.Context, list []app.Meter) (done app.Applied, err error) {
	err = s.system(ctx, meterReason, func(tx *tx) error {
		// In one order everywhere, so that two callers cannot wait for each other.
		known, err := tx.meters(tx.dialect.lockRow)
		if err != nil {
			return err
		}
		before := index(known, func(m app.Meter) string { return m.Slug })
		for _, m := range sorted(list, func(m app.Meter) string { return m.Slug }) {
			old, exists := before[m.Slug]
			if !m.Adds() && !(exists && old.Aggregation == m.Aggregation) {
				if err := tx.unnamed(m.Slug); err != nil {
					return err
				}
			}
			if exists && old.Aggregation != m.Aggregation {
				return app.Conflict("meter_aggregation", "The meter %q is a %s and stays one: what was counted would change its meaning.", m.Slug, old.Aggregation)
			}
			m.CreatedAt, m.UpdatedAt = old.CreatedAt, old.UpdatedAt
			if note(&done, m.Slug, exists, exists && same(old, m)) {
				if err := tx.upsertMeter(m, s.now()); err != nil {
					return err
				}
			}
		}
		if len(known)+len(done.Created) > app.MaxMeters {
			return app.Conflict("too_many_meters", "There can be at most %d meters.", app.MaxMeters)
		}
		return nil
	})
	return done, err
}

func (t *tx) upsertMeter(m app.Meter, now time.Time) error {
	if m.CreatedAt.IsZero() {
		m.CreatedAt = now
	}
	t.changed("meter", m.Slug, "")
	_, err := t.exec(`INSERT INTO main.meter (`+meterNounColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (slug) DO UPDATE SET name = excluded.name, unit = excluded.unit, aggregation = excluded.aggregation,
			event_type = excluded.event_type, value = excluded.value, dimensions = excluded.dimensions, updated_at = excluded.updated_at`,
		m.Slug, m.Name, m.Unit, m.Aggregation, m.EventType, m.Value, inJSON(m.Dimensions), inMillis(&m.CreatedAt), millis(now))
	return err
}

// DeleteMeter removes a meter; what it counted stays in the ledger. Conflict
// meter_in_use while a quota names it.
func (s *Store) DeleteMeter(ctx context.Context, slug string) error {
	return s.system(ctx, meterReason, func(tx *tx) error {
		// Locked first, so that no quota of it is written meanwhile.
		var one int
		if err := tx.row(`SELECT 1 FROM meter WHERE slug = $1`+tx.dialect.lockRow, slug).Scan(&one); err != nil {
			return found("meter", err)
		}
		if err := tx.unnamed(slug); err != nil {
			return err
		}
		n, err := tx.exec(`DELETE FROM main.meter WHERE slug = $1`, slug)
		tx.changed("meter", slug, "")
		return touched("meter", n, err)
	})
}
