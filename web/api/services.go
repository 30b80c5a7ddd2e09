package api

import (
	"context"
	"io"
	"time"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/app/export"
	"gatehouse/app/keys"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/app/routing"
	"gatehouse/app/tenancy"
	"gatehouse/app/traffic"
)

// Services are what the calls stand on. Each method authorises its actor.
type Services struct {
	Orgs       Orgs
	OrgKeys    KeyService
	Plans      Plans
	Routing    Routing
	Usage      Usage
	Sessions   UserSessions
	Traffic    Traffic
	System     System
	Identities Identities

	Meters       Meters
	Quotas       Quotas
	Reservations Reservations
	Rates        Rates
	Proofs       Proofs
	Adjustments  Adjustments
	Exports      Exports
	OwnExports   OwnExports
	Customers    Customers
	Desk         Desk
	Events       Events
	EventReader  EventReader
}

// Orgs manages organizations; tenancy.Service does.
type Orgs interface {
	Create(ctx context.Context, actor app.Actor, in tenancy.New) (app.Org, error)
	Find(ctx context.Context, actor app.Actor, idOrSlug string) (app.Org, error)
	List(ctx context.Context, actor app.Actor, page app.Page) (app.List[app.Org], error)
	Update(ctx context.Context, actor app.Actor, idOrSlug string, edit tenancy.Edit) (app.Org, error)
	Suspend(ctx context.Context, actor app.Actor, idOrSlug, reason string) (app.Org, error)
	Resume(ctx context.Context, actor app.Actor, idOrSlug string) (app.Org, error)
	Cancel(ctx context.Context, actor app.Actor, idOrSlug string) (app.Org, error)
	Delete(ctx context.Context, actor app.Actor, idOrSlug string) error
}

// KeyService manages keys; an empty organization means the operator's own.
// keys.Service does.
type KeyService interface {
	Mint(ctx context.Context, actor app.Actor, in keys.New) (app.MintedKey, error)
	List(ctx context.Context, actor app.Actor, org app.OrgID, page app.Page) (app.List[app.Key], error)
	Find(ctx context.Context, actor app.Actor, org app.OrgID, id app.KeyID) (app.Key, error)
	Rotate(ctx context.Context, actor app.Actor, org app.OrgID, id app.KeyID, grace time.Duration) (app.MintedKey, error)
	Revoke(ctx context.Context, actor app.Actor, org app.OrgID, id app.KeyID) (app.Key, error)
}

// Plans manages plans; billing.Service does.
type Plans interface {
	Plans(ctx context.Context, actor app.Actor) ([]app.Plan, error)
	Plan(ctx context.Context, actor app.Actor, slug string) (app.Plan, error)
	Apply(ctx context.Context, actor app.Actor, plans []app.Plan) (app.Applied, error)
	Delete(ctx context.Context, actor app.Actor, slug string) error
}

// Routing manages upstreams and routes; routing.Service does.
type Routing interface {
	Routes(ctx context.Context, actor app.Actor) ([]app.Route, error)
	Upstreams(ctx context.Context, actor app.Actor) ([]app.Upstream, error)
	Apply(ctx context.Context, actor app.Actor, set routing.Set, prune bool) (app.RoutingApplied, error)
	DeleteRoute(ctx context.Context, actor app.Actor, name string) error
	DeleteUpstream(ctx context.Context, actor app.Actor, name string) error
}

// Usage reports what was counted; metering.Reports does.
type Usage interface {
	Usage(ctx context.Context, actor app.Actor, query app.UsageQuery) ([]app.UsageRow, error)
	Meter(ctx context.Context, actor app.Actor, query app.MeterQuery) (app.MeterReport, error)
}

// Meters manages what is counted; metering.Meters does.
type Meters interface {
	List(ctx context.Context, actor app.Actor) ([]app.Meter, error)
	Find(ctx context.Context, actor app.Actor, slug string) (app.Meter, error)
	Apply(ctx context.Context, actor app.Actor, meters []app.Meter) (app.Applied, error)
	Delete(ctx context.Context, actor app.Actor, slug string) error
}

// Quotas shows and overrides quotas; quota.Service does. An organization's own
// key may leave its name out.
type Quotas interface {
	Quotas(ctx context.Context, actor app.Actor, idOrSlug string) ([]app.QuotaState, error)
	Find(ctx context.Context, actor app.Actor, idOrSlug string) ([]app.QuotaOverride, error)
	Put(ctx context.Context, actor app.Actor, idOrSlug string, override app.QuotaOverride) (app.QuotaOverride, error)
	Delete(ctx context.Context, actor app.Actor, idOrSlug string, key app.KeyID, meter string, period app.QuotaPeriod) error
	Notices(ctx context.Context, actor app.Actor, idOrSlug string, page app.Page) (app.List[app.QuotaNotice], error)
}

// Reservations reserves room for work; quota.Reservations does.
type Reservations interface {
	Reserve(ctx context.Context, actor app.Actor, n quota.NewReservation) (app.Reservation, error)
	Find(ctx context.Context, actor app.Actor, id string) (app.Reservation, error)
	List(ctx context.Context, actor app.Actor, idOrSlug string, page app.Page) (app.List[app.Reservation], error)
	Settle(ctx context.Context, actor app.Actor, id string, used int64) (app.Reservation, error)
	Release(ctx context.Context, actor app.Actor, id string) (app.Reservation, error)
	Extend(ctx context.Context, actor app.Actor, id string, used, more int64, life time.Duration) (app.Reservation, error)
}

// Rates manages the price list; margin.Rates does.
type Rates interface {
	List(ctx context.Context, actor app.Actor) ([]app.Rate, error)
	Apply(ctx context.Context, actor app.Actor, list []app.Rate) (app.Applied, error)
	Delete(ctx context.Context, actor app.Actor, model string, from time.Time) error
}

// Proofs reads the whole ledger and says whether it holds.
type Proofs interface {
	// Last is the last reading's result; at is zero before the first.
	Last() (proof metering.Proof, at time.Time, err error)
	// Now reads it now.
	Now(ctx context.Context) (metering.Proof, error)
}

// Adjustments corrects usage.
type Adjustments interface {
	Adjust(ctx context.Context, actor app.Actor, adjustment app.Adjustment) error
}

// Exports hands out the ledger's records; export.Service does.
type Exports interface {
	Write(ctx context.Context, actor app.Actor, w io.Writer, after int64, format string, max int) (next int64, err error)
}

// OwnExports hands an organization its own records; export.Own does.
type OwnExports interface {
	Page(ctx context.Context, actor app.Actor, q export.PageQuery) (export.Page, error)
}

// Customers names organizations as Stripe knows them; billing.Customers does.
type Customers interface {
	Customer(ctx context.Context, actor app.Actor, org app.OrgID) (app.BillingCustomer, error)
	Page(ctx context.Context, actor app.Actor, page app.Page) (app.List[app.BillingCustomer], error)
	Set(ctx context.Context, actor app.Actor, org app.OrgID, customer string) (app.BillingCustomer, error)
	Remove(ctx context.Context, actor app.Actor, org app.OrgID) error
}

// Desk shows and repeats what is reported to Stripe; export.Desk does.
type Desk interface {
	Status(ctx context.Context, actor app.Actor) (export.StripeStatus, error)
	Events(ctx context.Context, actor app.Actor, state app.MeterEventState, org app.OrgID, page app.Page) (app.List[app.MeterEvent], error)
	// Retry makes a parked event due again, or all of them ("").
	Retry(ctx context.Context, actor app.Actor, identifier string) (due int64, err error)
}

// UserSessions signs users of the operator's app in at the gateway; auth.Service does.
type UserSessions interface {
	MintUserSession(ctx context.Context, actor app.Actor, in auth.NewUserSession) (cookie string, session app.Session, err error)
	UserSessions(ctx context.Context, actor app.Actor, org app.OrgID, user string) ([]app.Session, error)
	RevokeUserSession(ctx context.Context, actor app.Actor, org app.OrgID, id string) error
	RevokeUserSessions(ctx context.Context, actor app.Actor, org app.OrgID, user string) (ended int, err error)
}

// Traffic looks at live traffic; traffic.View does.
type Traffic interface {
	Snapshot(ctx context.Context, rng traffic.Range) (*traffic.Snapshot, error)
}

// Identities resolve the organization that a path names.
type Identities interface {
	Org(ctx context.Context, id app.OrgID) (app.Org, error)
	OrgBySlug(ctx context.Context, slug string) (app.Org, error)
}

// System tells about the running program; cmd fills it.
type System interface {
	// Checks are the readiness checks by name.
	Checks(ctx context.Context) []SystemCheck
	// Engine names the database: SQLite or PostgreSQL.
	Engine() string
	// StartedAt is when this process began to serve.
	StartedAt() time.Time
}

// SystemCheck is one readiness check.
type SystemCheck struct {
	Name    string `json:"name" doc:"What is checked, such as store"`
	OK      bool   `json:"ok" doc:"Whether it is well"`
	Message string `json:"message,omitempty" doc:"What is wrong"`
}
