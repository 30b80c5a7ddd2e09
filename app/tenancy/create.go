package tenancy

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/app"
)

// New is an organization to be created.
type New struct {
	Name     string
	Slug     string // default: made from the name, with a number when it is taken
	Plan     string // default: DefaultPlan
	Upstream string // of its own; default: the routes' upstream
}

// Create adds an active organization. Errors: invalid fields, a plan or
// upstream that does not exist, conflict slug_taken for a slug that was asked
// for; one made from the name gets a number instead.
func (s *Service) Create(ctx context.Context, actor app.Actor, in New) (app.Org, error) {
	if err := actor.Require(ScopeWrite); err != nil {
		return app.Org{}, err
	}
	in.Name = strings.TrimSpace(in.Name)
	wrong := checkName(in.Name)
	slug := in.Slug
	if slug == "" {
		slug = defaultSlug(in.Name)
	} else if !app.ValidSlug(slug) {
		wrong = append(wrong, badSlug())
	}
	if len(wrong) > 0 {
		return app.Org{}, app.InvalidFields(wrong)
	}
	now := s.now()
	o := app.Org{ID: app.OrgID(app.NewID("org", now)), Slug: slug, Name: in.Name, Status: app.OrgStatusActive,
		Plan: in.Plan, Upstream: in.Upstream, CreatedAt: now, UpdatedAt: now}
	if o.Plan == "" {
		o.Plan = DefaultPlan
	}
	if in.Slug != "" {
		return answer(o, s.Store.InsertOrg(ctx, o))
	}
	return s.insertNumbered(ctx, o)
}

// answer is the organization, or nothing beside an error.
func answer(o app.Org, err error) (app.Org, error) {
	if err != nil {
		return app.Org{}, err
	}
	return o, nil
}

// defaultSlug is the name's slug, or "org" for a name of which nothing can be kept.
func defaultSlug(name string) string {
	if slug := app.Slugify(name); slug != "" {
		return slug
	}
	return "org"
}

// maxNumbered is how many slugs are tried; a name that so many share gets a
// part of the organization's id.
const maxNumbered = 20

// insertNumbered tries the slug, then slug-2, slug-3 and so on.
func (s *Service) insertNumbered(ctx context.Context, o app.Org) (app.Org, error) {
	base := o.Slug
	for number := 2; ; number++ {
		err := s.Store.InsertOrg(ctx, o)
		if err == nil || app.AsError(err).Code != "slug_taken" || number > maxNumbered+1 {
			return answer(o, err)
		}
		suffix := fmt.Sprintf("-%d", number)
		if number > maxNumbered {
			suffix = "-" + string(o.ID[len(o.ID)-8:]) // 40 random bits
		}
		o.Slug = strings.TrimRight(base[:min(len(base), 63-len(suffix))], "-") + suffix
	}
}
