package console

import (
	"context"
	"time"

	"gatehouse/app"
	"gatehouse/app/export"
	"gatehouse/app/keys"
	"gatehouse/app/limit"
	"gatehouse/app/metering"
	"gatehouse/app/routing"
	"gatehouse/app/tenancy"
	"gatehouse/app/traffic"
)

// Orgs is what pages do with organizations; tenancy.Service fills it.
type Orgs interface {
	Create(ctx context.Context, actor app.Actor, in tenancy.New) (app.Org, error)
	Find(ctx context.Context, actor app.Actor, idOrSlug string) (app.Org, error)
	List(ctx context.Context, actor app.Actor, page app.Page) (app.List[app.Org], error)
	Suspend(ctx context.Context, actor app.Actor, idOrSlug, reason string) (app.Org, error)
	Resume(ctx context.Context, actor app.Actor, idOrSlug string) (app.Org, error)
	Update(ctx context.Context, actor app.Actor, idOrSlug string, edit tenancy.Edit) (app.Org, error)
	Delete(ctx context.Context, actor app.Actor, idOrSlug string) error
}

// Keys is what pages do with API keys; keys.Service fills it.
type Keys interface {
	Mint(ctx context.Context, actor app.Actor, in keys.New) (app.MintedKey, error)
	Find(ctx context.Context, actor app.Actor, org app.OrgID, id app.KeyID) (app.Key, error)
	List(ctx context.Context, actor app.Actor, org app.OrgID, page app.Page) (app.List[app.Key], error)
	Rotate(ctx context.Context, actor app.Actor, org app.OrgID, id app.KeyID, grace time.Duration) (app.MintedKey, error)
	Revoke(ctx context.Context, actor app.Actor, org app.OrgID, id app.KeyID) (app.Key, error)
}

// Plans is what pages do with plans; billing.Service fills it.
type Plans interface {
	Plans(ctx context.Context, actor app.Actor) ([]app.Plan, error)
	Plan(ctx context.Context, actor app.Actor, slug string) (app.Plan, error)
}

// Routing is what pages do with routes and upstreams; routing.Service fills it.
type Routing interface {
	Routes(ctx context.Context, actor app.Actor) ([]app.Route, error)
	Upstreams(ctx context.Context, actor app.Actor) ([]app.Upstream, error)
	Apply(ctx context.Context, actor app.Actor, set routing.Set, prune bool) (routing.Applied, error)
}

// Usage reads the ledger's sums; metering.Reports fills it.
type Usage interface {
	Usage(ctx context.Context, actor app.Actor, query app.UsageQuery) ([]app.UsageRow, error)
	Totals(ctx context.Context, actor app.Actor, since, until time.Time) (map[app.OrgID]app.UsageRow, error)
}

// Traffic hands out what passed the gate; traffic.View fills it.
type Traffic interface {
	Snapshot(ctx context.Context, rng traffic.Range) (*traffic.Snapshot, error)
}

// Limits tells how full rate limits are; limit.Authority fills it. Pages look
// and set nothing: the limit that a page read may have changed since.
type Limits interface {
	Peek(key string, rate app.RateLimit) *limit.Cell
	Refresh(ctx context.Context, cells []*limit.Cell)
}

// Meters lists what is counted; metering.Meters fills it.
type Meters interface {
	List(ctx context.Context, actor app.Actor) ([]app.Meter, error)
}

// MeterUsage reads usage of any meter; metering.Reports fills it.
type MeterUsage interface {
	Meter(ctx context.Context, actor app.Actor, query app.MeterQuery) (app.MeterReport, error)
}

// Rates lists what models cost the operator; margin.Rates fills it.
type Rates interface {
	List(ctx context.Context, actor app.Actor) ([]app.Rate, error)
}

// Quotas is what pages do with quotas; quota.Service fills it.
type Quotas interface {
	Quotas(ctx context.Context, actor app.Actor, idOrSlug string) ([]app.QuotaState, error)
	Find(ctx context.Context, actor app.Actor, idOrSlug string) ([]app.QuotaOverride, error)
	Put(ctx context.Context, actor app.Actor, idOrSlug string, override app.QuotaOverride) (app.QuotaOverride, error)
	Delete(ctx context.Context, actor app.Actor, idOrSlug string, key app.KeyID, meter string, period app.QuotaPeriod) error
	Notices(ctx context.Context, actor app.Actor, idOrSlug string, page app.Page) (app.List[app.QuotaNotice], error)
}

// QuotaAccounts reads how much was taken of the quotas of all organizations;
// store.Ledger fills it.
type QuotaAccounts interface {
	// AccountsUpdated lists at most max accounts that changed at since (Unix
	// milliseconds) or later, the longest ago first.
	AccountsUpdated(ctx context.Context, since int64, max int) ([]app.AccountState, error)
}

// Customers says which customer of Stripe an organization is;
// billing.Customers fills it.
type Customers interface {
	Customer(ctx context.Context, actor app.Actor, org app.OrgID) (app.BillingCustomer, error)
	Customers(ctx context.Context, actor app.Actor) ([]app.BillingCustomer, error)
	Set(ctx context.Context, actor app.Actor, org app.OrgID, customer string) (app.BillingCustomer, error)
	Remove(ctx context.Context, actor app.Actor, org app.OrgID) error
}

// Outbox shows and repeats what is reported to Stripe; export.Desk fills it.
type Outbox interface {
	Status(ctx context.Context, actor app.Actor) (export.StripeStatus, error)
	// Events lists reports of a state, the newest change first: of an
	// organization, or of all ("").
	Events(ctx context.Context, actor app.Actor, state app.MeterEventState, org app.OrgID, page app.Page) (app.List[app.MeterEvent], error)
	// Retry makes a parked report due again, or all of them (""), and answers how many.
	Retry(ctx context.Context, actor app.Actor, identifier string) (int64, error)
}

// Reservations lists reservations; quota.Reservations fills it.
type Reservations interface {
	List(ctx context.Context, actor app.Actor, idOrSlug string, page app.Page) (app.List[app.Reservation], error)
}

// Proofs is the ledger's proof; metering.Verifier fills it.
type Proofs interface {
	// Last is the last proof; at is when it ended, and zero before the first.
	// The error says that the ledger could not be read.
	Last() (proof metering.Proof, at time.Time, err error)
	Now(ctx context.Context) (metering.Proof, error)
}
