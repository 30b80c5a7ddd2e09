package store

import (
	"bytes"
	"context"
	"time"

	"gatehouse/app"
)

const upstreamColumns = `name, id, definition, sealed, created_at, updated_at`

func scanUpstream(row scanner) (app.Upstream, error) {
	var u, columns app.Upstream
	var sealed []byte
	err := row.Scan(&columns.Name, &columns.ID, inJSON(&u), &sealed, inMillis(&columns.CreatedAt), inMillis(&columns.UpdatedAt))
	u.Name, u.ID, u.CreatedAt, u.UpdatedAt = columns.Name, columns.ID, columns.CreatedAt, columns.UpdatedAt
	if u.Credential != nil {
		u.Credential.Sealed = sealed
	}
	return u, err
}

// Upstreams lists all upstreams by name.
func (s *Store) Upstreams(ctx context.Context) (list []app.Upstream, err error) {
	err = s.systemRead(ctx, routing, func(tx *tx) error {
		list, err = tx.upstreams("")
		return err
	})
	return list, err
}

func (t *tx) upstreams(suffix string) ([]app.Upstream, error) {
	return rows(t, scanUpstream, `SELECT `+upstreamColumns+` FROM upstream ORDER BY name`+suffix)
}

// Upstream finds an upstream by its name.
func (s *Store) Upstream(ctx context.Context, name string) (u app.Upstream, err error) {
	err = s.systemRead(ctx, routing, func(tx *tx) error {
		u, err = scanUpstream(tx.row(`SELECT `+upstreamColumns+` FROM upstream WHERE name = $1`, name))
		return found("upstream", err)
	})
	return u, err
}

func (t *tx) upsertUpstream(u app.Upstream, now time.Time) error {
	id, created := u.ID, u.CreatedAt
	if id == "" {
		id, created = app.UpstreamID(app.NewID("ups", now)), now
	}
	t.changed("upstream", u.Name, "")
	u.ID, u.CreatedAt, u.UpdatedAt = "", time.Time{}, time.Time{} // columns, not definition
	var sealed []byte
	if u.Credential != nil {
		kept := *u.Credential
		kept.Secret, sealed = "", kept.Sealed // a secret that is not sealed stands nowhere
		u.Credential = &kept
	}
	_, err := t.exec(`INSERT INTO main.upstream (`+upstreamColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, sealed = excluded.sealed, updated_at = excluded.updated_at`,
		u.Name, id, inJSON(u), sealed, millis(created), millis(now))
	return err
}

// sameUpstream reports whether nothing is to be written: secrets too are what
// they were.
func sameUpstream(old, u app.Upstream) bool {
	return same(old, u) && bytes.Equal(sealedOf(old), sealedOf(u))
}

func sealedOf(u app.Upstream) []byte {
	if u.Credential == nil {
		return nil
	}
	return u.Credential.Sealed
}

// DeleteUpstream removes an upstream; conflict upstream_in_use while a route
// or an organization refers to it.
func (s *Store) DeleteUpstream(ctx context.Context, name string) error {
	return s.system(ctx, routing, func(tx *tx) error { return tx.deleteUpstream(name) })
}

func (t *tx) deleteUpstream(name string) error {
	var routes, orgs int64
	err := t.row(`SELECT (SELECT COUNT(*) FROM route WHERE upstream = $1), (SELECT COUNT(*) FROM org WHERE upstream = $1)`,
		name).Scan(&routes, &orgs)
	switch {
	case err != nil:
		return found("upstream", err)
	case routes > 0:
		return inUse("upstream", name, routes, "route")
	case orgs > 0:
		return inUse("upstream", name, orgs, "organization")
	}
	n, err := t.exec(`DELETE FROM main.upstream WHERE name = $1`, name)
	if isForeignKey(err) {
		return changedMeanwhile()
	}
	t.changed("upstream", name, "")
	return touched("upstream", n, err)
}
