package gateway

import (
	"context"
	"sync"
	"sync/atomic"

	"gatehouse/app"
	"gatehouse/app/limit"
	"gatehouse/app/traffic"
)

// tenant is an organization as the gate holds it: what never moves (its
// counters and slots), and its present state.
type tenant struct {
	id     app.OrgID
	meter  *traffic.Meter
	state  atomic.Pointer[orgState] // nil: must be read
	inUse  *limit.Pool              // requests in flight
	socket *limit.Pool              // WebSockets open
}

// orgState is an organization with its plan, and what derives from both. It is
// replaced, never changed.
type orgState struct {
	org   app.Org
	plan  app.Plan
	cells []*limit.Cell // the plan's rate limits

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
	if err != nil && !ok {
		t.mu.Lock()
		delete(t.byID, id)
		t.mu.Unlock()
	}
	return found, err
}

// state returns the tenant's present state, reading it when a change voided it.
func (t *tenants) state(ctx context.Context, of *tenant) (*orgState, error) {
	if state := of.state.Load(); state != nil {
		return state, nil
	}
	epoch := t.now()
	org, err := t.g.Directory.Org(ctx, of.id)
	if err != nil {
		return nil, err
	}
	plan, err := t.g.Directory.Plan(ctx, org.Plan)
	if err != nil {
		return nil, err
	}
	state := &orgState{org: org, plan: plan, id: []string{string(org.ID)},
		slug: []string{org.Slug}, planSlug: []string{org.Plan}}
	for _, rate := range plan.RateLimits {
		state.cells = append(state.cells, t.g.Limits.Cell(limit.OrgCell(org.ID, rate.Name), rate))
	}
	t.keep(of, state, epoch)
	return state, nil
}

// keep holds the state for later requests, unless a change came while it was
// read: then it is good for the one that read it alone.
func (t *tenants) keep(of *tenant, state *orgState, epoch int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epoch == epoch {
		of.state.Store(state)
	}
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
