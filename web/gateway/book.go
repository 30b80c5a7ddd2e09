package gateway

import (
	"context"
	"errors"
	"maps"
	"net/textproto"
	"slices"

	"gatehouse/app"
	"gatehouse/app/routing"
	"gatehouse/web/gateway/upstream"
)

// DefaultName names the route and the upstream that come from configuration.
const DefaultName = "default"

// book is the routing of one moment. It is replaced, never changed.
type book struct {
	table  *routing.Table
	routes []*route // in the table's order
	pools  map[string]*upstream.Pool
	seq    int64  // the newest change that it holds
	keyed  *route // stands in for /v1/authorize and /v1/check while no route exists
}

func emptyBook() *book { return &book{table: routing.Compile(nil)} }

// Reload reads routes and upstreams anew. Requests that run keep what they
// began with; pools that stay keep their connections.
func (g *Gateway) Reload(ctx context.Context) error {
	g.reload.Lock() // the last to read is the last to store
	defer g.reload.Unlock()
	seq, err := g.Directory.LastChange(ctx)
	if err != nil {
		return err
	}
	routes, err := g.Directory.Routes(ctx)
	if err != nil {
		return err
	}
	upstreams, err := g.Directory.Upstreams(ctx)
	if err != nil {
		return err
	}
	routes, upstreams = g.withDefault(routes, upstreams)
	old := g.book.Load()
	next := &book{seq: seq, table: routing.Compile(routes), pools: g.pools(old, upstreams)}
	for _, r := range routes {
		i := slices.IndexFunc(upstreams, func(u app.Upstream) bool { return u.Name == r.Upstream })
		compiled := g.compileRoute(r, next.pools[r.Upstream])
		if i >= 0 {
			compiled.vendor = g.vendorOf(r, upstreams[i])
		}
		next.routes = append(next.routes, compiled)
	}
	next.keyed = g.compileRoute(app.Route{Name: "any", PathPrefix: "/"}, nil)
	g.book.Store(next)
	g.ring.forget(func(*[32]byte, *credential) bool { return true }) // their admissions hold old routes
	for name, pool := range old.pools {
		if next.pools[name] == nil {
			go pool.Close(context.WithoutCancel(ctx)) // waits for the requests that run
		}
	}
	return nil
}

// withDefault adds the configured upstream under the name "default", unless
// the store has one of that name, and a route to it when there is no route.
func (g *Gateway) withDefault(routes []app.Route, upstreams []app.Upstream) ([]app.Route, []app.Upstream) {
	if g.Default == "" {
		return routes, upstreams
	}
	for _, u := range upstreams {
		if u.Name == DefaultName {
			return routes, upstreams
		}
	}
	upstreams = append(upstreams, app.Upstream{Name: DefaultName, Addresses: []string{g.Default}})
	if len(routes) == 0 {
		routes = append(routes, app.Route{Name: DefaultName, PathPrefix: "/", Upstream: DefaultName})
	}
	return routes, upstreams
}

// pools keeps, changes and opens upstream pools.
func (g *Gateway) pools(old *book, upstreams []app.Upstream) map[string]*upstream.Pool {
	pools := maps.Clone(old.pools)
	if pools == nil {
		pools = map[string]*upstream.Pool{}
	}
	wanted := map[string]bool{}
	for _, u := range upstreams {
		wanted[u.Name] = true
		if known := pools[u.Name]; known != nil {
			known.Reconfigure(u)
		} else {
			pools[u.Name] = upstream.NewPool(u, upstream.Options{Log: g.Log, Now: g.Now})
		}
	}
	maps.DeleteFunc(pools, func(name string, _ *upstream.Pool) bool { return !wanted[name] })
	return pools
}

func (g *Gateway) compileRoute(r app.Route, pool *upstream.Pool) *route {
	if r.Weight == 0 {
		r.Weight = app.DefaultWeight
	}
	if r.BodyLimit == 0 {
		r.BodyLimit = app.DefaultBodyLimit
	}
	bound := r.Timeout.Std()
	if r.Timeout == 0 {
		r.Timeout = app.DefaultTimeout
	}
	rt := &route{Route: r, pool: pool, bound: bound, modes: modesOf(r), weight: r.Weight, meters: metersOf(r), ledger: r.ID,
		headers: compileEdits(r.Headers, textproto.CanonicalMIMEHeaderKey),
		query:   compileEdits(r.Query, func(name string) string { return name })}
	if rt.ledger == "" {
		rt.ledger = app.RouteID(r.Name)
	}
	for _, set := range rt.headers.set {
		rt.keep = append(rt.keep, set.name)
	}
	rt.open = g.newAdmission(nil, rt, nil)
	return rt
}

// Refresh forgets all that is held and reads routing anew, for a node that
// cannot tell what changed.
func (g *Gateway) Refresh(ctx context.Context) error {
	g.tenants.void(func(*orgState) bool { return true })
	return g.Reload(ctx)
}

// Changed takes in a change of configuration, by whichever process. When it
// returns, no later request sees what was before.
func (g *Gateway) Changed(ctx context.Context, c app.Change) error {
	switch c.Noun {
	case "route", "upstream":
		if c.Seq > g.book.Load().seq { // one change of many that a reload took in at once
			return g.Reload(ctx)
		}
	case "plan":
		g.tenants.void(func(s *orgState) bool { return s.org.Plan == c.ID })
	case "org":
		g.orgChanged(ctx, app.OrgID(c.ID))
	case "key":
		g.ring.forget(func(_ *[32]byte, held *credential) bool { return string(held.key.ID) == c.ID })
	case "session":
		if c.Org != "" { // a user's; operators have no session here
			g.ring.forget(func(hash *[32]byte, held *credential) bool {
				return held.mode == app.AuthSession && app.Session{Hash: *hash}.ID() == c.ID
			})
		}
	}
	return nil
}

// orgChanged makes an organization be read again. Tokens may name it by its
// slug, and the app's calls for it, so what they were found to be is forgotten; and all that is held of an
// organization that was deleted.
func (g *Gateway) orgChanged(ctx context.Context, id app.OrgID) {
	held, gone := g.tenants.voidOrg(ctx, id)
	if held != nil {
		g.ring.forget(func(_ *[32]byte, c *credential) bool {
			return c.tenant == held && (gone || c.mode == app.AuthJWT || c.mode == onBehalf)
		})
	}
}

// Upstreams returns each upstream's addresses and their health, by name.
func (g *Gateway) Upstreams() map[string][]upstream.AddressStatus {
	all := map[string][]upstream.AddressStatus{}
	for name, pool := range g.book.Load().pools {
		all[name] = pool.Status()
	}
	return all
}

// Close waits until the requests that run have left their upstreams.
func (g *Gateway) Close(ctx context.Context) error {
	var failed []error
	for _, pool := range g.book.Load().pools {
		failed = append(failed, pool.Close(ctx))
	}
	return errors.Join(failed...)
}

// InFlight is how many requests and WebSockets of an organization run here.
func (g *Gateway) InFlight(org app.OrgID) (requests, sockets int64) {
	g.tenants.mu.Lock()
	defer g.tenants.mu.Unlock()
	if held := g.tenants.byID[org]; held != nil {
		return held.inUse.Used(), held.socket.Used()
	}
	return 0, 0
}
