package store

import (
	"context"

	"gatehouse/app"
)

// QuotaOverrides lists what an organization has beside its plan's quotas.
func (s *Store) QuotaOverrides(ctx context.Context, org app.OrgID) (list []app.QuotaOverride, err error) {
	err = s.tenantRead(ctx, org, func(t *tx) error {
		list, err = rows(t, scanOverride, `SELECT definition FROM quota_override WHERE org_id = $1
			ORDER BY key_id, meter, period`, org)
		return err
	})
	return list, err
}

// copyKeyQuotas gives a key the quotas that another one has of its own.
func (t *tx) copyKeyQuotas(org app.OrgID, from, to app.KeyID) error {
	list, err := rows(t, scanOverride, `SELECT definition FROM quota_override WHERE org_id = $1 AND key_id = $2`, org, from)
	for _, o := range list {
		o.Key = to
		if err = t.putOverride(o); err != nil {
			break
		}
	}
	return err
}

func scanOverride(row scanner) (o app.QuotaOverride, err error) { return o, row.Scan(inJSON(&o)) }

// PutQuotaOverride adds the override, or replaces the one of its key, meter
// and period. An organization or key that does not exist is not found, and the
// meter must be one that adds up. Every node reloads the organization.
func (s *Store) PutQuotaOverride(ctx context.Context, o app.QuotaOverride) error {
	return s.tenant(ctx, o.Org, func(t *tx) error {
		if err := t.checkOverride(o); err != nil {
			return err
		}
		return t.putOverride(o)
	})
}

func (t *tx) putOverride(o app.QuotaOverride) error {
	t.changed("org", string(o.Org), o.Org)
	_, err := t.exec(`INSERT INTO main.quota_override (org_id, key_id, meter, period, definition, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (org_id, key_id, meter, period)
		DO UPDATE SET definition = excluded.definition, updated_at = excluded.updated_at`,
		o.Org, o.Key, o.Meter, string(o.Period), inJSON(&o), millis(o.UpdatedAt))
	return err
}

func (t *tx) checkOverride(o app.QuotaOverride) error {
	var one int
	if err := t.row(`SELECT 1 FROM org WHERE id = $1`, o.Org).Scan(&one); err != nil {
		return found("organization", err)
	}
	if o.Key != "" {
		if err := t.row(`SELECT 1 FROM api_key WHERE org_id = $1 AND id = $2`, o.Org, o.Key).Scan(&one); err != nil {
			return found("key", err)
		}
	}
	if o.Unlimited { // which takes a quota away, of whatever meter
		return nil
	}
	return t.checkQuotaMeter(o.Quota)
}

// DeleteQuotaOverride takes an override away: what the plan says holds again.
func (s *Store) DeleteQuotaOverride(ctx context.Context, org app.OrgID, key app.KeyID, meter string, period app.QuotaPeriod) error {
	return s.tenant(ctx, org, func(t *tx) error {
		n, err := t.exec(`DELETE FROM main.quota_override WHERE org_id = $1 AND key_id = $2 AND meter = $3 AND period = $4`,
			org, key, meter, string(period))
		t.changed("org", string(org), org)
		return touched("quota override", n, err)
	})
}
