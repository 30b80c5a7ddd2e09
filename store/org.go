package store

import (
	"context"
	"strings"
	"time"

	"gatehouse/app"
)

const orgColumns = `id, slug, name, status, reason, plan, upstream, created_at, updated_at`

func scanOrg(row scanner) (o app.Org, err error) {
	return o, row.Scan(&o.ID, &o.Slug, &o.Name, &o.Status, &o.Reason, &o.Plan, orNull(&o.Upstream),
		inMillis(&o.CreatedAt), inMillis(&o.UpdatedAt))
}

// searchText is what a search of organizations looks in.
func searchText(o app.Org) string { return strings.ToLower(o.Name) + " " + o.Slug }

// InsertOrg adds an organization. Errors: conflict slug_taken; invalid plan or
// upstream that does not exist.
func (s *Store) InsertOrg(ctx context.Context, o app.Org) error {
	return s.tenant(ctx, o.ID, func(tx *tx) error {
		if err := tx.checkOrgRefers(o); err != nil {
			return err
		}
		_, err := tx.exec(`INSERT INTO main.org (`+orgColumns+`, search) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			o.ID, o.Slug, o.Name, o.Status, o.Reason, o.Plan, orNull(&o.Upstream),
			inMillis(&o.CreatedAt), inMillis(&o.UpdatedAt), searchText(o))
		tx.changed("org", string(o.ID), o.ID)
		return orgClash(o, err)
	})
}

// checkOrgRefers says which name does not exist; SQLite's own answer does not.
func (t *tx) checkOrgRefers(o app.Org) error {
	var plans, upstreams int
	err := t.row(`SELECT (SELECT COUNT(*) FROM plan WHERE slug = $1), (SELECT COUNT(*) FROM upstream WHERE name = $2)`,
		o.Plan, o.Upstream).Scan(&plans, &upstreams)
	switch {
	case err != nil:
		return err
	case plans == 0:
		return app.Invalid("plan", "there is no plan %q", o.Plan)
	case o.Upstream != "" && upstreams == 0:
		return app.Invalid("upstream", "there is no upstream %q", o.Upstream)
	}
	return nil
}

func orgClash(o app.Org, err error) error {
	switch {
	case isUnique(err):
		return app.Conflict("slug_taken", "The slug %q is taken.", o.Slug)
	case isForeignKey(err):
		return changedMeanwhile()
	}
	return err
}

// changedMeanwhile answers a write whose ground was removed between its check
// and itself.
func changedMeanwhile() error {
	conflict := app.Conflict("changed_meanwhile", "Something that this refers to changed at the same moment.")
	conflict.Advice = "Look at it again and repeat."
	return conflict
}

// Org finds an organization by its id.
func (s *Store) Org(ctx context.Context, id app.OrgID) (o app.Org, err error) {
	err = s.tenantRead(ctx, id, func(tx *tx) error {
		o, err = scanOrg(tx.row(`SELECT `+orgColumns+` FROM org WHERE id = $1`, id))
		return found("organization", err)
	})
	return o, err
}

// OrgBySlug finds an organization by its slug.
func (s *Store) OrgBySlug(ctx context.Context, slug string) (o app.Org, err error) {
	err = s.systemRead(ctx, "a slug names its organization", func(tx *tx) error {
		o, err = scanOrg(tx.row(`SELECT `+orgColumns+` FROM org WHERE slug = $1`, slug))
		return found("organization", err)
	})
	return o, err
}

// Orgs lists organizations, newest first. The filter is a status, or "plan:"
// and a plan's slug, or "upstream:" and an upstream's name.
func (s *Store) Orgs(ctx context.Context, p app.Page) (list app.List[app.Org], err error) {
	l := listing{columns: orgColumns, table: "org"}
	if err := l.contains("search", p.Search); err != nil {
		return list, err
	}
	if err := filterOrgs(&l, p.Filter); err != nil {
		return list, err
	}
	err = s.systemRead(ctx, "the operator lists organizations", func(tx *tx) error {
		list, err = page(tx, l, p, scanOrg, func(o app.Org) (time.Time, string) { return o.CreatedAt, string(o.ID) })
		return err
	})
	return list, err
}

func filterOrgs(l *listing, filter string) error {
	kind, name, _ := strings.Cut(filter, ":")
	switch {
	case filter == "":
	case filter == string(app.OrgStatusActive), filter == string(app.OrgStatusSuspended), filter == string(app.OrgStatusCancelled):
		l.and(`status = $`, filter)
	case kind == "plan" && app.ValidSlug(name):
		l.and(`plan = $`, name)
	case kind == "upstream" && app.ValidLabel(name):
		l.and(`upstream = $`, name)
	default:
		return app.Invalid("filter", "must be active, suspended, cancelled, plan:SLUG or upstream:NAME")
	}
	return nil
}

// CountOrgs counts all organizations.
func (s *Store) CountOrgs(ctx context.Context) (n int64, err error) {
	err = s.systemRead(ctx, "the operator counts organizations", func(tx *tx) error {
		return tx.row(`SELECT COUNT(*) FROM org`).Scan(&n)
	})
	return n, err
}

// UpdateOrg changes an organization in one step: no other change comes between
// the reading and the writing. change may run in a transaction and must be
// quick; its error leaves everything as it was. ID and CreatedAt stay.
func (s *Store) UpdateOrg(ctx context.Context, id app.OrgID, change func(*app.Org) error) (o app.Org, err error) {
	err = s.tenant(ctx, id, func(tx *tx) error {
		before, err := scanOrg(tx.row(`SELECT `+orgColumns+` FROM org WHERE id = $1`+tx.dialect.lockRow, id))
		if err != nil {
			return found("organization", err)
		}
		o = before
		if err := change(&o); err != nil {
			return err
		}
		o.ID, o.CreatedAt = before.ID, before.CreatedAt
		return tx.updateOrg(o)
	})
	return o, err
}

func (t *tx) updateOrg(o app.Org) error {
	if err := t.checkOrgRefers(o); err != nil {
		return err
	}
	t.changed("org", string(o.ID), o.ID)
	_, err := t.exec(`UPDATE main.org SET slug = $2, name = $3, status = $4, reason = $5, plan = $6, upstream = $7,
		updated_at = $8, search = $9 WHERE id = $1`,
		o.ID, o.Slug, o.Name, o.Status, o.Reason, o.Plan, orNull(&o.Upstream), inMillis(&o.UpdatedAt), searchText(o))
	return orgClash(o, err)
}

// DeleteOrg removes an organization with its keys and sessions. Its usage
// stays in the ledger under its id.
func (s *Store) DeleteOrg(ctx context.Context, id app.OrgID) error {
	return s.tenant(ctx, id, func(tx *tx) error {
		keys, err := rows(tx, scanText, `SELECT id FROM api_key WHERE org_id = $1`, id)
		if err != nil {
			return found("organization", err)
		}
		n, err := tx.exec(`DELETE FROM main.org WHERE id = $1`, id) // keys go with it
		if err := touched("organization", n, err); err != nil {
			return err
		}
		tx.changed("org", string(id), id)
		for _, key := range keys {
			tx.changed("key", key, id)
		}
		return nil
	})
}

func scanText(row scanner) (text string, err error) { return text, row.Scan(&text) }
