package api

import (
	"context"
	"time"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/app/keys"
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
