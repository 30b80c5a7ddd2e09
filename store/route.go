package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"gatehouse/app"
)

const routing reason = "routes and upstreams belong to no organization"

const routeColumns = `name, id, upstream, definition, created_at, updated_at`

func scanRoute(row scanner) (app.Route, error) {
	var r, columns app.Route
	err := row.Scan(&columns.Name, &columns.ID, &columns.Upstream, inJSON(&r), inMillis(&columns.CreatedAt), inMillis(&columns.UpdatedAt))
	r.Name, r.ID, r.Upstream, r.CreatedAt, r.UpdatedAt = columns.Name, columns.ID, columns.Upstream, columns.CreatedAt, columns.UpdatedAt
	return r, err
}

// Routes lists all routes by name.
func (s *Store) Routes(ctx context.Context) (list []app.Route, err error) {
	err = s.systemRead(ctx, routing, func(tx *tx) error {
		list, err = tx.routes("")
		return err
	})
	return list, err
}

func (t *tx) routes(suffix string) ([]app.Route, error) {
	return rows(t, scanRoute, `SELECT `+routeColumns+` FROM route ORDER BY name`+suffix)
}

// ApplyRouting makes upstreams and routes what the lists say, all or nothing,
// and says what it did. With prune, those that the lists do not hold are
// removed; otherwise they stay. Errors: conflict upstream_in_use when a pruned
// upstream is still an organization's; a route to no upstream is invalid.
func (s *Store) ApplyRouting(ctx context.Context, upstreams []app.Upstream, routes []app.Route, prune bool) (done app.RoutingApplied, err error) {
	err = s.system(ctx, routing, func(tx *tx) error {
		// Upstreams before routes, each by name: concurrent calls lock in one order.
		knownUpstreams, err := tx.upstreams(tx.dialect.lockRow)
		if err != nil {
			return err
		}
		knownRoutes, err := tx.routes(tx.dialect.lockRow)
		if err != nil {
			return err
		}
		if err := tx.applyUpstreams(&done.Upstreams, knownUpstreams, upstreams, s.now()); err != nil {
			return err
		}
		if err := tx.applyRoutes(&done.Routes, knownRoutes, routes, s.now()); err != nil {
			return err
		}
		if !prune {
			return nil
		}
		if err := tx.pruneRoutes(&done.Routes, knownRoutes, routes); err != nil {
			return err
		}
		return tx.pruneUpstreams(&done.Upstreams, knownUpstreams, upstreams)
	})
	if isUnique(err) || isForeignKey(err) {
		err = changedMeanwhile()
	}
	return done, err
}

func (t *tx) applyUpstreams(done *app.Applied, known, wanted []app.Upstream, now time.Time) error {
	before := index(known, func(u app.Upstream) string { return u.Name })
	for _, u := range sorted(wanted, func(u app.Upstream) string { return u.Name }) {
		old, exists := before[u.Name]
		u.ID, u.CreatedAt, u.UpdatedAt = old.ID, old.CreatedAt, old.UpdatedAt
		if note(done, u.Name, exists, exists && sameUpstream(old, u)) {
			if err := t.upsertUpstream(u, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tx) applyRoutes(done *app.Applied, known, wanted []app.Route, now time.Time) error {
	before := index(known, func(r app.Route) string { return r.Name })
	for _, r := range sorted(wanted, func(r app.Route) string { return r.Name }) {
		old, exists := before[r.Name]
		r.ID, r.CreatedAt, r.UpdatedAt = old.ID, old.CreatedAt, old.UpdatedAt
		if note(done, r.Name, exists, exists && same(old, r)) {
			if err := t.upsertRoute(r, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tx) upsertRoute(r app.Route, now time.Time) error {
	id, created := r.ID, r.CreatedAt
	if id == "" {
		id, created = app.RouteID(app.NewID("rte", now)), now
	}
	t.changed("route", r.Name, "")
	r.ID, r.CreatedAt, r.UpdatedAt = "", time.Time{}, time.Time{} // columns, not definition
	_, err := t.exec(`INSERT INTO main.route (`+routeColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (name) DO UPDATE SET upstream = excluded.upstream, definition = excluded.definition,
			updated_at = excluded.updated_at`,
		r.Name, id, r.Upstream, inJSON(r), millis(created), millis(now))
	if isForeignKey(err) {
		return app.Invalid("routes."+r.Name+".upstream", "there is no upstream %q", r.Upstream)
	}
	return err
}

func (t *tx) pruneRoutes(done *app.Applied, known, wanted []app.Route) error {
	keep := index(wanted, func(r app.Route) string { return r.Name })
	for _, r := range known {
		if _, ok := keep[r.Name]; !ok {
			if err := t.deleteRoute(r.Name); err != nil {
				return err
			}
			done.Removed = append(done.Removed, r.Name)
		}
	}
	return nil
}

func (t *tx) pruneUpstreams(done *app.Applied, known, wanted []app.Upstream) error {
	keep := index(wanted, func(u app.Upstream) string { return u.Name })
	for _, u := range known {
		if _, ok := keep[u.Name]; !ok {
			if err := t.deleteUpstream(u.Name); err != nil {
				return err
			}
			done.Removed = append(done.Removed, u.Name)
		}
	}
	return nil
}

// DeleteRoute removes a route.
func (s *Store) DeleteRoute(ctx context.Context, name string) error {
	return s.system(ctx, routing, func(tx *tx) error { return tx.deleteRoute(name) })
}

func (t *tx) deleteRoute(name string) error {
	n, err := t.exec(`DELETE FROM main.route WHERE name = $1`, name)
	t.changed("route", name, "")
	return touched("route", n, err)
}

// sorted is a copy of the list in the order of a text of each item.
func sorted[T any](list []T, by func(T) string) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b T) int { return strings.Compare(by(a), by(b)) })
	return list
}
