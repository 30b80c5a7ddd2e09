package api

import (
	"context"
	"strings"

	"gatehouse/app"
)

const aboutApply = "All of it or nothing: one wrong field refuses the whole set."

// Items is a whole list, for nouns that are few.
type Items[T any] struct {
	Items []T `json:"items"`
}

func items[T any](list []T, err error) (*answerOf[Items[T]], error) {
	return answer(Items[T]{notNull(list)}, err)
}

func (x *API) listPlans(ctx context.Context, actor app.Actor, _ *struct{}) (*answerOf[Items[app.Plan]], error) {
	return items(x.Plans.Plans(ctx, actor))
}

// PlanPath names a plan in a path.
type PlanPath struct {
	Plan string `path:"plan" doc:"The plan's slug" maxLength:"100" example:"pro"`
}

func (x *API) getPlan(ctx context.Context, actor app.Actor, in *PlanPath) (*answerOf[app.Plan], error) {
	return answer(x.Plans.Plan(ctx, actor, in.Plan))
}

type putPlanInput struct {
	PlanPath
	Body app.Plan
}

func (x *API) putPlan(ctx context.Context, actor app.Actor, in *putPlanInput) (*answerOf[app.Plan], error) {
	if in.Body.Slug != in.Plan {
		return nil, app.Invalid("slug", "must be %q, as in the path", in.Plan)
	}
	if _, err := x.Plans.Apply(ctx, actor, []app.Plan{in.Body}); err != nil {
		return nil, unindexed(err)
	}
	// Who wrote it may see what it wrote, without the scope to read others.
	return answer(x.Plans.Plan(ctx, app.Actor{Kind: app.ActorSystem}, in.Plan))
}

type applyPlansInput struct {
	Body struct {
		Plans []app.Plan `json:"plans" doc:"The plans to create or replace" minItems:"1" maxItems:"200"`
	} `nameHint:"PlanSet"`
}

func (x *API) applyPlans(ctx context.Context, actor app.Actor, in *applyPlansInput) (*answerOf[app.Applied], error) {
	return answer(x.Plans.Apply(ctx, actor, in.Body.Plans))
}

func (x *API) deletePlan(ctx context.Context, actor app.Actor, in *PlanPath) (*struct{}, error) {
	return nil, x.Plans.Delete(ctx, actor, in.Plan)
}

// unindexed names fields of a set of one as those of the one.
func unindexed(err error) error {
	e := *app.AsError(err)
	fields := make([]app.FieldError, len(e.Fields))
	for i, f := range e.Fields {
		fields[i] = app.FieldError{Field: strings.TrimPrefix(f.Field, "plans[0]."), Message: f.Message}
	}
	if len(fields) > 0 {
		return app.InvalidFields(fields)
	}
	return err
}
