package metering

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"gatehouse/app"
)

// Scopes of meters.
const (
	ScopeMetersRead  = "meters:read"
	ScopeMetersWrite = "meters:write"
)

// MeterCatalogue keeps the meters that are not built in.
type MeterCatalogue interface {
	Meters(ctx context.Context) ([]app.Meter, error)
	UpsertMeters(ctx context.Context, list []app.Meter) (app.Applied, error)
	DeleteMeter(ctx context.Context, slug string) error
}

// Meters is what is counted: the built-in meters, and those that operators
// define. Load must have been called before events are read.
type Meters struct {
	Store MeterCatalogue
	set   atomic.Pointer[meterTable]
}

// meterTable finds meters.
type meterTable struct {
	bySlug map[string]app.Meter
	byType map[string][]app.Meter
}

// Load takes the meters in. It is called at the start, and for each change of
// the noun "meter".
func (s *Meters) Load(ctx context.Context) error {
	list, err := s.all(ctx)
	if err != nil {
		return err
	}
	t := &meterTable{bySlug: map[string]app.Meter{}, byType: map[string][]app.Meter{}}
	for _, m := range list {
		t.bySlug[m.Slug] = m
		if m.EventType != "" {
			t.byType[m.EventType] = append(t.byType[m.EventType], m)
		}
	}
	s.set.Store(t)
	return nil
}

func (s *Meters) all(ctx context.Context) ([]app.Meter, error) {
	own, err := s.Store.Meters(ctx)
	return append(app.BuiltInMeters(), own...), err
}

// Meter finds a meter in memory.
func (s *Meters) Meter(slug string) (m app.Meter, known bool) {
	if t := s.set.Load(); t != nil {
		m, known = t.bySlug[slug]
	}
	return m, known
}

// List lists all meters, the built-in ones first. Everybody who is known may
// see what is counted.
func (s *Meters) List(ctx context.Context, actor app.Actor) ([]app.Meter, error) {
	if err := mayRead(actor); err != nil {
		return nil, err
	}
	return s.all(ctx)
}

// Find finds a meter; not_found when there is none.
func (s *Meters) Find(ctx context.Context, actor app.Actor, slug string) (app.Meter, error) {
	list, err := s.List(ctx, actor)
	if err != nil {
		return app.Meter{}, err
	}
	for _, m := range list {
		if m.Slug == slug {
			return m, nil
		}
	}
	return app.Meter{}, app.NotFound("meter")
}

func mayRead(actor app.Actor) error {
	if actor.OrgID != "" && (actor.Kind == app.ActorKey || actor.Kind == app.ActorUser) {
		return nil
	}
	return actor.Require(ScopeMetersRead)
}

// Apply makes the meters what the list says, all or none; others stay. The
// built-in ones cannot be changed, nor can the aggregation of any.
func (s *Meters) Apply(ctx context.Context, actor app.Actor, list []app.Meter) (app.Applied, error) {
	if err := actor.Require(ScopeMetersWrite); err != nil {
		return app.Applied{}, err
	}
	if wrong := checkMeters(list); len(wrong) > 0 {
		return app.Applied{}, app.InvalidFields(wrong)
	}
	return s.Store.UpsertMeters(ctx, list)
}

func checkMeters(list []app.Meter) []app.FieldError {
	var wrong []app.FieldError
	if len(list) > app.MaxMeters {
		return []app.FieldError{{Field: "meters", Message: fmt.Sprintf("must be at most %d", app.MaxMeters)}}
	}
	seen := map[string]bool{}
	for i, m := range list {
		at := fmt.Sprintf("meters[%d].", i)
		for _, f := range m.Check() {
			wrong = append(wrong, app.FieldError{Field: at + f.Field, Message: f.Message})
		}
		if seen[m.Slug] {
			wrong = append(wrong, app.FieldError{Field: at + "slug", Message: "is there twice"})
		}
		seen[m.Slug] = true
		if m.BuiltIn || isBuiltIn(m.Slug) {
			wrong = append(wrong, app.FieldError{Field: at + "slug", Message: "names a built-in meter, which cannot be changed"})
		}
	}
	return wrong
}

func isBuiltIn(slug string) bool {
	return slices.ContainsFunc(app.BuiltInMeters(), func(m app.Meter) bool { return m.Slug == slug })
}

// Delete removes a meter. What it counted stays in the ledger, and is shown
// again when a meter of the slug is made.
func (s *Meters) Delete(ctx context.Context, actor app.Actor, slug string) error {
	if err := actor.Require(ScopeMetersWrite); err != nil {
		return err
	}
	if isBuiltIn(slug) {
		return app.Conflict("meter_built_in", "The meter %q is built in and cannot be deleted.", slug)
	}
	return s.Store.DeleteMeter(ctx, slug)
}
