// Package billing keeps the plans that organizations are on. Plans are data:
// the catalogue that ships is only what an empty table is seeded with.
package billing

import (
	"context"
	"fmt"

	"gatehouse/app"
)

// Scopes of plans.
const (
	ScopeRead  = "plans:read"
	ScopeWrite = "plans:write"
)

// Applied says, by slug, what applying plans did.
type Applied = app.Applied

// Store keeps plans.
type Store interface {
	Plans(ctx context.Context) ([]app.Plan, error)
	Plan(ctx context.Context, slug string) (app.Plan, error)
	UpsertPlans(ctx context.Context, list []app.Plan) (app.Applied, error)
	SeedPlans(ctx context.Context, list []app.Plan) (seeded bool, err error)
	DeletePlan(ctx context.Context, slug string) error
}

// Service lets operators read and change plans.
type Service struct{ Store Store }

// Plans lists all plans, the cheapest first, those "as agreed" last.
func (s *Service) Plans(ctx context.Context, actor app.Actor) ([]app.Plan, error) {
	if err := actor.Require(ScopeRead); err != nil {
		return nil, err
	}
	return s.Store.Plans(ctx)
}

// Plan finds a plan by its slug.
func (s *Service) Plan(ctx context.Context, actor app.Actor, slug string) (app.Plan, error) {
	if err := actor.Require(ScopeRead); err != nil {
		return app.Plan{}, err
	}
	return s.Store.Plan(ctx, slug)
}

// Apply makes the plans what the list says, all or none; others stay.
// Applying the same list again changes nothing. A changed plan holds for the
// organizations on it from then on.
func (s *Service) Apply(ctx context.Context, actor app.Actor, list []app.Plan) (Applied, error) {
	if err := actor.Require(ScopeWrite); err != nil {
		return Applied{}, err
	}
	if wrong := Check(list); len(wrong) > 0 {
		return Applied{}, app.InvalidFields(wrong)
	}
	return s.Store.UpsertPlans(ctx, list)
}

// Delete removes a plan; conflict plan_in_use while an organization is on it.
func (s *Service) Delete(ctx context.Context, actor app.Actor, slug string) error {
	if err := actor.Require(ScopeWrite); err != nil {
		return err
	}
	return s.Store.DeletePlan(ctx, slug)
}

// Seed adds the plans if there is none at all: at the first start. It is the
// program's own act, so it asks for no actor.
func (s *Service) Seed(ctx context.Context, list []app.Plan) (seeded bool, err error) {
	if wrong := Check(list); len(wrong) > 0 {
		return false, app.InvalidFields(wrong)
	}
	return s.Store.SeedPlans(ctx, list)
}

// Check returns what is wrong with a list of plans, field by field below
// "plans[0]".
func Check(list []app.Plan) []app.FieldError {
	var wrong []app.FieldError
	seen := map[string]bool{}
	for i, p := range list {
		at := fmt.Sprintf("plans[%d].", i)
		for _, f := range p.Check() {
			wrong = append(wrong, app.FieldError{Field: at + f.Field, Message: f.Message})
		}
		if seen[p.Slug] {
			wrong = append(wrong, app.FieldError{Field: at + "slug", Message: "is used twice"})
		}
		seen[p.Slug] = true
	}
	return wrong
}
