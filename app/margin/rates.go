// Package margin knows what usage costs the operator. Prices are a list of
// data: each counts for a model, or for all whose names begin alike, from a
// time on.
package margin

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// Scopes of the price list.
const (
	ScopeRead  = "rates:read"
	ScopeWrite = "rates:write"
)

// Store keeps the price list.
type Store interface {
	Rates(ctx context.Context) ([]app.Rate, error)
	UpsertRates(ctx context.Context, list []app.Rate) (app.Applied, error)
	SeedRates(ctx context.Context, list []app.Rate) (seeded bool, err error)
	DeleteRate(ctx context.Context, model string, from time.Time) error
}

// Rates is the price list: operators read and change it, the gate asks it for
// prices. Load must have been called before the gate asks.
type Rates struct {
	Store Store
	table atomic.Pointer[table]
}

// Load takes the list in. It is called at the start, and for each change of
// the noun "rate".
func (s *Rates) Load(ctx context.Context) error {
	list, err := s.Store.Rates(ctx)
	if err != nil {
		return err
	}
	t, err := compile(list)
	if err != nil {
		return err
	}
	s.table.Store(t)
	return nil
}

// List lists all rates by model, the newest of each first.
func (s *Rates) List(ctx context.Context, actor app.Actor) ([]app.Rate, error) {
	if err := actor.Require(ScopeRead); err != nil {
		return nil, err
	}
	return s.Store.Rates(ctx)
}

// Apply makes the rates of these models and times what the list says, all or
// none; others stay. Applying the same list again changes nothing. What was
// counted already keeps the price that it had.
func (s *Rates) Apply(ctx context.Context, actor app.Actor, list []app.Rate) (app.Applied, error) {
	if err := actor.Require(ScopeWrite); err != nil {
		return app.Applied{}, err
	}
	if wrong := Check(list); len(wrong) > 0 {
		return app.Applied{}, app.InvalidFields(wrong)
	}
	return s.Store.UpsertRates(ctx, list)
}

// Delete removes the rate of a model that is valid from the time on; not_found
// when there is none.
func (s *Rates) Delete(ctx context.Context, actor app.Actor, model string, from time.Time) error {
	if err := actor.Require(ScopeWrite); err != nil {
		return err
	}
	return s.Store.DeleteRate(ctx, model, from)
}

// Seed adds the rates if there is none at all: at the first start. It is the
// program's own act, so it asks for no actor.
func (s *Rates) Seed(ctx context.Context, list []app.Rate) (seeded bool, err error) {
	if wrong := Check(list); len(wrong) > 0 {
		return false, app.InvalidFields(wrong)
	}
	return s.Store.SeedRates(ctx, list)
}

// Check returns what is wrong with a list of rates, field by field below
// "rates[0]".
func Check(list []app.Rate) []app.FieldError {
	var wrong []app.FieldError
	if len(list) > app.MaxRates {
		return []app.FieldError{{Field: "rates", Message: fmt.Sprintf("must be at most %d", app.MaxRates)}}
	}
	type place struct {
		model string
		from  int64
	}
	seen := map[place]bool{}
	for i, r := range list {
		for _, f := range r.Check() {
			wrong = append(wrong, app.FieldError{Field: fmt.Sprintf("rates[%d].%s", i, f.Field), Message: f.Message})
		}
		at := place{r.Model, r.ValidFrom.UnixMilli()}
		if seen[at] {
			wrong = append(wrong, app.FieldError{Field: fmt.Sprintf("rates[%d].valid_from", i), Message: "is there twice for the model"})
		}
		seen[at] = true
	}
	return wrong
}
