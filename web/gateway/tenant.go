package gateway

import (
	"context"
	"sync"
	"sync/atomic"

	"gatehouse/app"
	"gatehouse/app/limit"
	"gatehouse/app/quota"
	"gatehouse/app/traffic"
)

// tenant is an organization as the gate holds it: what never moves (its
// counters and slots), and its present state.
type tenant struct {
	id     app.OrgID
	meter  *traffic.Meter
	state  atomic.Pointer[orgState] // nil: must be read
	gone   bool                     // no longer found; under the lock of tenants
	inUse  *limit.Pool              // requests in flight
	socket *limit.Pool              // WebSockets open
}

// orgState is an organization with its plan, and what derives from both. It is
// replaced, never changed.
type orgState struct {
	org   app.Org
	plan  app.Plan
	cells []*limit.Cell // the plan's rate limits
	book  *quota.Book   // the quotas of plan and overrides; nil: there are none

	overrides []app.QuotaOverride

	id, slug, planSlug []string // prepared header values
}

// tenants finds the gate's tenant of an organization.
type tenants struct {
	g     *Gateway
	mu    sync.Mutex
	byID  map[app.OrgID]*tenant
	epoch int64 // moves on every change
}

// tenant returns the organization's tenant with a present state.
func (t *tenants) tenant(ctx context.Context, id app.OrgID) (*tenant, error) {
	t.mu.Lock()
	found, ok := t.byID[id]
	if !ok {
		found = &tenant{id: id, meter: t.g.Traffic.Org(id),
			inUse: t.g.Slots.Pool(string(id) + "/in_flight"), socket: t.g.Slots.Pool(string(id) + "/websockets")}
		t.byID[id] = found
	}
	t.mu.Unlock()
	_, err := t.state(ctx, found)
	return found, err
}

// drop lets go of a tenant whose organization was deleted. Whoever holds it
// yet reads the organization at each request.
func (t *tenants) drop(of *tenant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of.gone = true
	of.state.Store(nil)
	if t.byID[of.id] == of {
		delete(t.byID, of.id)
	}
}

// voidOrg makes the organization be read again, and lets go of one that was
// deleted. held is nil when the gate knows nothing of it.
func (t *tenants) voidOrg(ctx context.Context, id app.OrgID) (held *tenant, gone bool) {
	t.void(func(s *orgState) bool { return s.org.ID == id })
	t.mu.Lock()
	held = t.byID[id]
	t.mu.Unlock()
	if held != nil {
		_, err := t.state(ctx, held) // another error comes again at the next request
		gone = app.IsKind(err, app.KindNotFound)
	}
	return held, gone
}

// state returns the tenant's present state, reading it when a change voided it.
func (t *tenants) state(ctx context.Context, of *tenant) (*orgState, error) {
	if state := of.state.Load(); state != nil {
		return state, nil
	}
	for attempt := 1; ; attempt++ {
		epoch := t.now()
		state, err := t.read(ctx, of)
		if err != nil {
			return nil, err
		}
		if t.keep(of, state, epoch) {
			return state, nil
		}
		if attempt == readAttempts {
			state.cells = t.cells(state)
			return state, nil
		}
	}
}

// readAttempts is how often an organization is read while others change, until
// what was read is used once and not held.
const readAttempts = 3

// read reads the tenant's state, without its cells.
func (t *tenants) read(ctx context.Context, of *tenant) (*orgState, error) {
	org, err := t.g.Directory.Org(ctx, of.id)
	if app.IsKind(err, app.KindNotFound) {
		t.drop(of)
	}
	if err != nil {
		return nil, err
	}
	plan, err := t.g.Directory.Plan(ctx, org.Plan)
	if err != nil {
		return nil, err
	}
	state := &orgState{org: org, plan: plan, id: []string{string(org.ID)},
		slug: []string{org.Slug}, planSlug: []string{org.Plan}}
	return state, t.readQuotas(ctx, state)
}

// readQuotas compiles what the organization is granted.
func (t *tenants) readQuotas(ctx context.Context, state *orgState) (err error) {
	if t.g.Quotas == nil {
		return nil
	}
	if t.g.Overrides != nil {
		if state.overrides, err = t.g.Overrides.QuotaOverrides(ctx, state.org.ID); err != nil {
			return err
		}
	}
	if len(state.plan.Quotas)+len(state.overrides) > 0 {
		state.book = t.g.Quotas.Book(state.org, state.plan, state.overrides)
	}
	return nil
}

// keep holds the state for later requests, unless a change came while it was
// read. An old one must not reach the cells either: they are shared, and stay
// as they were set last.
func (t *tenants) keep(of *tenant, state *orgState, epoch int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epoch != epoch || of.gone {
		return false
	}
	state.cells = t.cells(state)
	of.state.Store(state)
	return true
}

// cells are those of the plan's rate limits.
func (t *tenants) cells(state *orgState) (cells []*limit.Cell) {
	for _, rate := range state.plan.RateLimits {
		cells = append(cells, t.g.Limits.Cell(limit.OrgCell(state.org.ID, rate.Name), rate))
	}
	return cells
}

func (t *tenants) now() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.epoch
}

// void makes the organizations that match be read again.
func (t *tenants) void(match func(*orgState) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch++
	for _, tenant := range t.byID {
		if state := tenant.state.Load(); state != nil && match(state) {
			tenant.state.Store(nil)
		}
	}
}
