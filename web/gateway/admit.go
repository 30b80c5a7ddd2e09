package gateway

import (
	"context"
	"net/http"
	"slices"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/app/limit"
	"gatehouse/app/quota"
	"gatehouse/app/token"
)

// admission is a credential on a route: its rate-limit cells, and the headers
// that the app will see, resolved once.
type admission struct {
	route    *route
	state    *orgState
	cells    []*limit.Cell
	policy   []string // RateLimit-Policy, prepared
	identity []preparedHeader
	dynamic  []edit      // route headers that hold the request's id
	quotas   *quota.Line // that its requests draw on; nil: no quota concerns them
	sockets  *quota.Line // that those draw on which ask for a WebSocket
	steps    stepLines   // of it, what is reserved step by step
	known    []app.Use   // what each request takes for certain
	// assertion is minted once per life of the token, not per request.
	assertion *token.Assertion
}

type preparedHeader struct {
	name  string
	value []string
}

// admission returns the credential's admission on the route of the book.
func (g *Gateway) admission(ctx context.Context, c *credential, rt *route, of *book) (*admission, error) {
	state, err := g.tenants.state(ctx, c.tenant)
	if app.IsKind(err, app.KindNotFound) {
		return nil, keys.ErrUnknown() // its organization was deleted
	}
	if err != nil {
		return nil, err
	}
	if a := c.latest.Load(); a != nil && a.route == rt && a.state == state {
		return a, nil
	}
	if known, ok := c.admissions.Load(rt); ok && known.(*admission).state == state {
		a := known.(*admission)
		c.latest.Store(a)
		return a, nil
	}
	a := g.newAdmission(c, rt, state)
	c.admissions.Store(rt, a)
	c.latest.Store(a)
	if g.book.Load() != of { // the route's limits were set to what they were: let them be set anew
		g.ring.forget(func(*[32]byte, *credential) bool { return true })
	}
	return a, nil
}

// newAdmission resolves a credential on a route; nil, with no state, is
// everybody who comes without one.
func (g *Gateway) newAdmission(c *credential, rt *route, state *orgState) *admission {
	a := &admission{route: rt, state: state}
	subject, org := token.Subject{Actor: app.Actor{Kind: app.ActorAnonymous}}, app.OrgID("")
	a.identity = []preparedHeader{{HeaderActor, anonymousActor}}
	if c != nil {
		subject, org = token.Subject{Actor: c.actor, Org: state.org}, state.org.ID
		a.cells = append(a.cells, c.cells(g, state)...)
		a.prepareQuotas(c)
		a.identity = []preparedHeader{{HeaderOrg, state.id}, {HeaderOrgSlug, state.slug}, {HeaderOrgPlan, state.planSlug},
			{HeaderActor, []string{c.actorID}}}
		if c.key.ID != "" {
			a.identity = append(a.identity, preparedHeader{HeaderKey, []string{string(c.key.ID)}})
		}
	}
	if rt.Egress != nil { // a vendor is not told who our customers are
		a.identity = nil
	}
	for _, rate := range rt.RateLimits {
		a.cells = append(a.cells, g.Limits.Cell(limit.RouteCell(org, rt.ledger, rate.Name), rate))
	}
	if policy := limit.AppendPolicy(nil, a.cells); len(policy) > 0 {
		a.policy = []string{string(policy)}
	}
	a.assertion = g.Assertions.NewAssertion(subject)
	a.prepare(c)
	return a
}

// cells are those of the credential on any route: its organization's and its
// key's. What the app calls for an organization is no traffic of either.
func (c *credential) cells(g *Gateway, state *orgState) []*limit.Cell {
	if c.mode == onBehalf {
		return nil
	}
	cells := slices.Clone(state.cells)
	for _, rate := range c.key.RateLimits {
		cells = append(cells, g.Limits.Cell(limit.KeyCell(state.org.ID, c.key.ID, rate.Name), rate))
	}
	return cells
}

// prepare fills in the route's own headers, but for those that hold the
// request's id.
func (a *admission) prepare(c *credential) {
	for _, set := range a.route.headers.set {
		if set.static() {
			value := set.value(func(name string) string { return variableOf(c, a.state, name) })
			a.identity = append(a.identity, preparedHeader{set.name, []string{value}})
		} else {
			a.dynamic = append(a.dynamic, set)
		}
	}
}

// variableOf resolves what a route's edits may name; c and state are nil for
// an anonymous request.
func variableOf(c *credential, state *orgState, name string) string {
	if c == nil {
		if name == "actor" {
			return string(app.ActorAnonymous)
		}
		return ""
	}
	switch name {
	case "org.id":
		return string(state.org.ID)
	case "org.slug":
		return state.org.Slug
	case "org.plan":
		return state.org.Plan
	case "key.id":
		return string(c.key.ID)
	case "actor":
		return c.actorID
	}
	return ""
}

// takePlaces takes the request's place among those in flight, and a
// WebSocket's among those open. (*exchange).leave gives them back.
func (g *Gateway) takePlaces(x *exchange) error {
	if x.credential != nil && x.credential.mode != onBehalf {
		plan := &x.admission.state.plan
		if !x.take(x.credential.tenant.inUse, plan.InFlight) {
			return errInFlight(plan.InFlight)
		}
		x.inFlight = true
		if x.upgrade && !x.take(x.credential.tenant.socket, plan.WebSockets) {
			return errSockets("organization", plan.WebSockets)
		}
	}
	if !x.upgrade {
		return nil
	}
	if err := g.sockets.acquire(x.from); err != nil {
		return err
	}
	x.socket = true
	return nil
}

// take takes a place if fewer than limit are taken; 0 is unlimited.
func (x *exchange) take(pool *limit.Pool, most int64) bool {
	if !pool.Acquire(x.r.Context(), most) {
		return false
	}
	x.places = append(x.places, pool)
	return true
}

// isUpgrade reports whether the request asks for another protocol.
func isUpgrade(r *http.Request) bool {
	return r.ProtoMajor == 1 && len(r.Header["Upgrade"]) > 0
}
