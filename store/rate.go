package store

import (
	"context"
	"time"

	"gatehouse/app"
)

const rateReason reason = "rates belong to no organization"

const rateColumns = `model, valid_from, provider, input, output, cache_read, cache_write, cache_write_long, search, variants,
	max_input, max_output`

func scanRate(row scanner) (r app.Rate, err error) {
	return r, row.Scan(&r.Model, inMillis(&r.ValidFrom), &r.Provider, &r.Input, &r.Output, &r.CacheRead, &r.CacheWrite,
		&r.CacheWriteLong, &r.Search, inJSON(&r.Variants), &r.MaxInput, &r.MaxOutput)
}

// Rates lists all rates by model, the newest of each first.
func (s *Store) Rates(ctx context.Context) (list []app.Rate, err error) {
	err = s.systemRead(ctx, rateReason, func(tx *tx) error {
		list, err = tx.rates("")
		return err
	})
	return list, err
}

func (t *tx) rates(suffix string) ([]app.Rate, error) {
	return rows(t, scanRate, `SELECT `+rateColumns+` FROM rate ORDER BY model, valid_from DESC`+suffix)
}

// rateName tells a rate from others: a model has several, each from a time on.
func rateName(r app.Rate) string {
	return r.Model + " from " + r.ValidFrom.UTC().Format(time.RFC3339)
}

// UpsertRates makes the rates what the list says, all or none; others stay. It
// says what it did, by model and time.
func (s *Store) UpsertRates(ctx context.Context, list []app.Rate) (done app.Applied, err error) {
	err = s.system(ctx, rateReason, func(tx *tx) error {
		// In one order everywhere, so that two callers cannot wait for each other.
		known, err := tx.rates(tx.dialect.lockRow)
		if err != nil {
			return err
		}
		before := index(known, rateName)
		for _, r := range sorted(list, rateName) {
			r.ValidFrom = fromMillis(millis(r.ValidFrom))
			old, exists := before[rateName(r)]
			if note(&done, rateName(r), exists, exists && same(old, r)) {
				if err := tx.upsertRate(r); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return done, err
}

func (t *tx) upsertRate(r app.Rate) error {
	t.changed("rate", r.Model, "")
	_, err := t.exec(`INSERT INTO main.rate (`+rateColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (model, valid_from) DO UPDATE SET provider = excluded.provider, input = excluded.input,
			output = excluded.output, cache_read = excluded.cache_read, cache_write = excluded.cache_write,
			cache_write_long = excluded.cache_write_long, search = excluded.search, variants = excluded.variants,
			max_input = excluded.max_input, max_output = excluded.max_output`,
		r.Model, millis(r.ValidFrom), r.Provider, r.Input, r.Output, r.CacheRead, r.CacheWrite,
		r.CacheWriteLong, r.Search, inJSON(&r.Variants), r.MaxInput, r.MaxOutput)
	return err
}

// SeedRates adds the rates if there is none at all, and says whether it did.
func (s *Store) SeedRates(ctx context.Context, list []app.Rate) (seeded bool, err error) {
	err = s.system(ctx, rateReason, func(tx *tx) error {
		var n int
		if err := tx.row(`SELECT COUNT(*) FROM rate`).Scan(&n); err != nil || n > 0 {
			return err
		}
		for _, r := range list {
			if err := tx.upsertRate(r); err != nil {
				return err
			}
		}
		seeded = len(list) > 0
		return nil
	})
	return seeded, err
}

// DeleteRate removes the rate of a model that is valid from the time on.
func (s *Store) DeleteRate(ctx context.Context, model string, from time.Time) error {
	return s.system(ctx, rateReason, func(tx *tx) error {
		n, err := tx.exec(`DELETE FROM main.rate WHERE model = $1 AND valid_from = $2`, model, millis(from))
		tx.changed("rate", model, "")
		return touched("rate", n, err)
	})
}
