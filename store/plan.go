package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"gatehouse/app"
)

const planColumns = `slug, name, price, rate_limits, quotas, in_flight, websockets, tasks, members, promise, trial_days,
	created_at, updated_at, time_zone`

func scanPlan(row scanner) (p app.Plan, err error) {
	var price sql.NullInt64
	err = row.Scan(&p.Slug, &p.Name, &price, inJSON(&p.RateLimits), inJSON(&p.Quotas), &p.InFlight, &p.WebSockets,
		&p.Tasks, &p.Members, &p.Promise, &p.TrialDays, inMillis(&p.CreatedAt), inMillis(&p.UpdatedAt), &p.TimeZone)
	if price.Valid {
		amount := app.Money(price.Int64)
		p.Price = &amount
	}
	return p, err
}

// Plans lists all plans, the cheapest first, those "as agreed" last.
func (s *Store) Plans(ctx context.Context) (list []app.Plan, err error) {
	err = s.systemRead(ctx, "plans belong to no organization", func(tx *tx) error {
		list, err = tx.plans("price NULLS LAST, slug")
		return err
	})
	return list, err
}

func (t *tx) plans(order string) ([]app.Plan, error) {
	return rows(t, scanPlan, `SELECT `+planColumns+` FROM plan ORDER BY `+order)
}

// Plan finds a plan by its slug.
func (s *Store) Plan(ctx context.Context, slug string) (p app.Plan, err error) {
	err = s.systemRead(ctx, "plans belong to no organization", func(tx *tx) error {
		p, err = scanPlan(tx.row(`SELECT `+planColumns+` FROM plan WHERE slug = $1`, slug))
		return found("plan", err)
	})
	return p, err
}

// UpsertPlans makes the plans what the list says, all or none; others stay. It
// says what it did. Created and updated plans have the store's time. Quotas
// must be of meters that exist and add up: fields below "plans[0]" otherwise.
func (s *Store) UpsertPlans(ctx context.Context, list []app.Plan) (done app.Applied, err error) {
	err = s.system(ctx, "plans belong to no organization", func(tx *tx) error {
		// In one order everywhere, so that two callers cannot wait for each other.
		known, err := tx.plans("slug" + tx.dialect.lockRow)
		if err != nil {
			return err
		}
		if err := tx.checkQuotaMeters(list); err != nil {
			return err
		}
		before := index(known, func(p app.Plan) string { return p.Slug })
		for _, p := range sorted(list, func(p app.Plan) string { return p.Slug }) {
			old, exists := before[p.Slug]
			p.CreatedAt, p.UpdatedAt = old.CreatedAt, old.UpdatedAt
			if note(&done, p.Slug, exists, exists && same(old, p)) {
				if err := tx.upsertPlan(p, s.now()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return done, err
}

func (t *tx) upsertPlan(p app.Plan, now time.Time) error {
	if p.CreatedAt.IsZero() {
		p.CreatedAt = now
	}
	t.changed("plan", p.Slug, "")
	_, err := t.exec(`INSERT INTO main.plan (`+planColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (slug) DO UPDATE SET name = excluded.name, price = excluded.price, rate_limits = excluded.rate_limits,
			quotas = excluded.quotas, in_flight = excluded.in_flight, websockets = excluded.websockets, tasks = excluded.tasks,
			members = excluded.members, promise = excluded.promise, trial_days = excluded.trial_days,
			updated_at = excluded.updated_at, time_zone = excluded.time_zone`,
		p.Slug, p.Name, p.Price, inJSON(p.RateLimits), inJSON(p.Quotas), p.InFlight, p.WebSockets,
		p.Tasks, p.Members, p.Promise, p.TrialDays, inMillis(&p.CreatedAt), millis(now), p.TimeZone)
	return err
}

// SeedPlans adds the plans if there is none at all, and says whether it did.
func (s *Store) SeedPlans(ctx context.Context, list []app.Plan) (seeded bool, err error) {
	err = s.system(ctx, "plans belong to no organization", func(tx *tx) error {
		var n int
		if err := tx.row(`SELECT COUNT(*) FROM plan`).Scan(&n); err != nil || n > 0 {
			return err
		}
		if err := tx.checkQuotaMeters(list); err != nil {
			return err
		}
		for _, p := range list {
			if err := tx.upsertPlan(p, s.now()); err != nil {
				return err
			}
		}
		seeded = len(list) > 0
		return nil
	})
	return seeded, err
}

// DeletePlan removes a plan; conflict plan_in_use while an organization is on it.
func (s *Store) DeletePlan(ctx context.Context, slug string) error {
	return s.system(ctx, "plans belong to no organization", func(tx *tx) error {
		var orgs int64
		if err := tx.row(`SELECT COUNT(*) FROM org WHERE plan = $1`, slug).Scan(&orgs); err != nil {
			return found("plan", err)
		}
		if orgs > 0 {
			return inUse("plan", slug, orgs, "organization")
		}
		n, err := tx.exec(`DELETE FROM main.plan WHERE slug = $1`, slug)
		if isForeignKey(err) {
			return changedMeanwhile()
		}
		tx.changed("plan", slug, "")
		return touched("plan", n, err)
	})
}

// inUse answers the removal of something that n others refer to.
func inUse(noun, name string, n int64, others string) error {
	many := ""
	if n != 1 {
		many = "s"
	}
	conflict := app.Conflict(noun+"_in_use", "The %s %q is in use by %d %s%s.", noun, name, n, others, many)
	conflict.Advice = "Move them to another " + noun + " first."
	return conflict
}

// index finds items by a key.
func index[K comparable, T any](list []T, key func(T) K) map[K]T {
	found := make(map[K]T, len(list))
	for _, item := range list {
		found[key(item)] = item
	}
	return found
}

// same reports whether two values read the same to people: in JSON.
func same(a, b any) bool {
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	return errLeft == nil && errRight == nil && string(left) == string(right)
}

// note writes down what is done with one object of a file, and reports whether
// there is anything to do.
func note(done *app.Applied, name string, exists, unchanged bool) bool {
	switch {
	case unchanged:
		done.Unchanged = append(done.Unchanged, name)
	case exists:
		done.Updated = append(done.Updated, name)
	default:
		done.Created = append(done.Created, name)
	}
	return !unchanged
}
