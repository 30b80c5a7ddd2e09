package store

import (
	"context"
	"time"

	"gatehouse/app"
)

const customerColumns = `org_id, provider, customer, updated_at`

func scanCustomer(row scanner) (c app.BillingCustomer, err error) {
	var updated int64
	err = row.Scan(&c.Org, &c.Provider, &c.Customer, &updated)
	c.UpdatedAt = time.UnixMilli(updated).UTC()
	return c, err
}

// BillingCustomer is the organization as the provider knows it; not found
// when it has no customer there.
func (s *Store) BillingCustomer(ctx context.Context, org app.OrgID, provider app.BillingProvider) (c app.BillingCustomer, err error) {
	err = s.tenantRead(ctx, org, func(t *tx) error {
		c, err = scanCustomer(t.row(`SELECT `+customerColumns+` FROM billing_customer WHERE org_id = $1 AND provider = $2`,
			string(org), string(provider)))
		return found("billing customer", err)
	})
	return c, err
}

// BillingCustomers lists every organization that the provider knows.
func (s *Store) BillingCustomers(ctx context.Context, provider app.BillingProvider) (list []app.BillingCustomer, err error) {
	err = s.systemRead(ctx, "usage of all organizations is reported together", func(t *tx) error {
		list, err = rows(t, scanCustomer, `SELECT `+customerColumns+` FROM billing_customer WHERE provider = $1 ORDER BY org_id`, string(provider))
		return err
	})
	return list, err
}

// BillingCustomerPage lists organizations that the provider knows, the newest
// change first.
func (s *Store) BillingCustomerPage(ctx context.Context, provider app.BillingProvider, p app.Page) (list app.List[app.BillingCustomer], err error) {
	q := listing{columns: customerColumns,
		table: `(SELECT ` + customerColumns + `, updated_at AS created_at, org_id AS id FROM billing_customer) AS c`}
	q.and(`provider = $`, string(provider))
	err = s.systemRead(ctx, "operators see the customers of all organizations", func(t *tx) error {
		list, err = page(t, q, p, scanCustomer, func(c app.BillingCustomer) (time.Time, string) { return c.UpdatedAt, string(c.Org) })
		return err
	})
	return list, err
}

// SetBillingCustomer names or renames the organization's customer.
func (s *Store) SetBillingCustomer(ctx context.Context, c app.BillingCustomer) error {
	return s.tenant(ctx, c.Org, func(t *tx) error {
		_, err := t.exec(`INSERT INTO main.billing_customer (`+customerColumns+`) VALUES ($1, $2, $3, $4)
			ON CONFLICT (org_id, provider) DO UPDATE SET customer = excluded.customer, updated_at = excluded.updated_at`,
			string(c.Org), string(c.Provider), c.Customer, s.now().UnixMilli())
		return err
	})
}

// DeleteBillingCustomer forgets the organization's customer.
func (s *Store) DeleteBillingCustomer(ctx context.Context, org app.OrgID, provider app.BillingProvider) error {
	return s.tenant(ctx, org, func(t *tx) error {
		n, err := t.exec(`DELETE FROM main.billing_customer WHERE org_id = $1 AND provider = $2`, string(org), string(provider))
		return touched("billing customer", n, err)
	})
}
