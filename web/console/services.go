package console

import (
	"context"
	"time"

	"gatehouse/app"
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
