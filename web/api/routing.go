package api

import (
	"context"
	"slices"

	"gatehouse/app"
	"gatehouse/app/routing"
)

func (x *API) listUpstreams(ctx context.Context, actor app.Actor, _ *struct{}) (*answerOf[Items[app.Upstream]], error) {
	return items(x.Routing.Upstreams(ctx, actor))
}

type upstreamPath struct {
	Upstream string `path:"upstream" doc:"The upstream's name" maxLength:"100" example:"app"`
}

func (x *API) getUpstream(ctx context.Context, actor app.Actor, in *upstreamPath) (*answerOf[app.Upstream], error) {
	list, err := x.Routing.Upstreams(ctx, actor)
	return one("upstream", list, err, func(u app.Upstream) bool { return u.Name == in.Upstream })
}

// one picks the item of a list that is, or answers that there is none.
func one[T any](noun string, list []T, err error, is func(T) bool) (*answerOf[T], error) {
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, is)
	if i < 0 {
		return nil, app.NotFound(noun)
	}
	return &answerOf[T]{list[i]}, nil
}

func (x *API) deleteUpstream(ctx context.Context, actor app.Actor, in *upstreamPath) (*struct{}, error) {
	return nil, x.Routing.DeleteUpstream(ctx, actor, in.Upstream)
}

func (x *API) listRoutes(ctx context.Context, actor app.Actor, _ *struct{}) (*answerOf[Items[app.Route]], error) {
	return items(x.Routing.Routes(ctx, actor))
}

type routePath struct {
	Route string `path:"route" doc:"The route's name" maxLength:"100" example:"files"`
}

func (x *API) getRoute(ctx context.Context, actor app.Actor, in *routePath) (*answerOf[app.Route], error) {
	list, err := x.Routing.Routes(ctx, actor)
	return one("route", list, err, func(r app.Route) bool { return r.Name == in.Route })
}

func (x *API) deleteRoute(ctx context.Context, actor app.Actor, in *routePath) (*struct{}, error) {
	return nil, x.Routing.DeleteRoute(ctx, actor, in.Route)
}

type applyRoutingInput struct {
	Prune bool `query:"prune" doc:"Also delete the upstreams and routes that the set does not name"`
	Body  struct {
		Upstreams []app.Upstream `json:"upstreams,omitempty" doc:"The upstreams to create or replace" maxItems:"1000"`
		Routes    []app.Route    `json:"routes,omitempty" doc:"The routes to create or replace" maxItems:"1000"`
	} `nameHint:"RoutingSet"`
}

func (x *API) applyRouting(ctx context.Context, actor app.Actor, in *applyRoutingInput) (*answerOf[app.RoutingApplied], error) {
	set := routing.Set{Upstreams: in.Body.Upstreams, Routes: in.Body.Routes}
	return answer(x.Routing.Apply(ctx, actor, set, in.Prune))
}
