package routing

import (
	"context"

	"gatehouse/app"
)

// Scopes of routes and upstreams.
const (
	ScopeRead  = "routes:read"
	ScopeWrite = "routes:write"
)

// Applied says what applying a set did.
type Applied = app.RoutingApplied

// Store keeps routes and upstreams.
type Store interface {
	Routes(ctx context.Context) ([]app.Route, error)
	Upstreams(ctx context.Context) ([]app.Upstream, error)
	ApplyRouting(ctx context.Context, upstreams []app.Upstream, routes []app.Route, prune bool) (app.RoutingApplied, error)
	DeleteRoute(ctx context.Context, name string) error
	DeleteUpstream(ctx context.Context, name string) error
}

// Service lets operators read and change routes and upstreams.
type Service struct {
	Store  Store
	Sealer Sealer // of upstreams' credentials; without one none can be given
}

// Routes lists all routes by name.
func (s *Service) Routes(ctx context.Context, actor app.Actor) ([]app.Route, error) {
	if err := actor.Require(ScopeRead); err != nil {
		return nil, err
	}
	return s.Store.Routes(ctx)
}

// Upstreams lists all upstreams by name.
func (s *Service) Upstreams(ctx context.Context, actor app.Actor) ([]app.Upstream, error) {
	if err := actor.Require(ScopeRead); err != nil {
		return nil, err
	}
	return s.Store.Upstreams(ctx)
}

// Apply makes routes and upstreams what the set says, all or nothing; those
// that the set does not hold stay, or with prune are removed. Applying the
// same set again changes nothing. A credential without a secret keeps the
// stored one, while the upstream stays where it is. Errors: forbidden, invalid fields, conflict
// upstream_in_use when prune would take an organization's own upstream away.
func (s *Service) Apply(ctx context.Context, actor app.Actor, set Set, prune bool) (Applied, error) {
	if err := actor.Require(ScopeWrite); err != nil {
		return Applied{}, err
	}
	wrong := set.Check()
	if len(wrong) == 0 {
		after, err := s.after(ctx, set, prune)
		if err != nil {
			return Applied{}, err
		}
		wrong = append(checkUpstreams(after), checkTogether(after.Routes)...)
	}
	if len(wrong) > 0 {
		return Applied{}, app.InvalidFields(wrong)
	}
	known, err := s.Store.Upstreams(ctx)
	if err != nil {
		return Applied{}, err
	}
	upstreams, err := s.seal(known, set.Upstreams)
	if err != nil {
		return Applied{}, err
	}
	return s.Store.ApplyRouting(ctx, upstreams, set.Routes, prune)
}

// after is what there will be once the set is applied.
func (s *Service) after(ctx context.Context, set Set, prune bool) (Set, error) {
	if prune {
		return set, nil
	}
	upstreams, err := s.Store.Upstreams(ctx)
	if err != nil {
		return Set{}, err
	}
	routes, err := s.Store.Routes(ctx)
	if err != nil {
		return Set{}, err
	}
	return Set{
		Upstreams: overlay(upstreams, set.Upstreams, func(u app.Upstream) string { return u.Name }),
		Routes:    overlay(routes, set.Routes, func(r app.Route) string { return r.Name }),
	}, nil
}

// overlay is the list with what the newer list says in place of its names.
func overlay[T any](list, newer []T, name func(T) string) []T {
	replaced := map[string]bool{}
	for _, item := range newer {
		replaced[name(item)] = true
	}
	out := append([]T{}, newer...)
	for _, item := range list {
		if !replaced[name(item)] {
			out = append(out, item)
		}
	}
	return out
}

func checkUpstreams(set Set) []app.FieldError {
	known := map[string]bool{}
	for _, u := range set.Upstreams {
		known[u.Name] = true
	}
	var wrong []app.FieldError
	for _, r := range set.Routes {
		if !known[r.Upstream] {
			wrong = append(wrong, app.FieldError{Field: "routes." + r.Name + ".upstream", Message: "there is no upstream \"" + r.Upstream + "\""})
		}
	}
	return wrong
}

// DeleteRoute removes a route by its name.
func (s *Service) DeleteRoute(ctx context.Context, actor app.Actor, name string) error {
	if err := actor.Require(ScopeWrite); err != nil {
		return err
	}
	return s.Store.DeleteRoute(ctx, name)
}

// DeleteUpstream removes an upstream by its name; conflict upstream_in_use
// while a route or an organization refers to it.
func (s *Service) DeleteUpstream(ctx context.Context, actor app.Actor, name string) error {
	if err := actor.Require(ScopeWrite); err != nil {
		return err
	}
	return s.Store.DeleteUpstream(ctx, name)
}
