// Package tenancy keeps organizations: it creates, changes, suspends and
// deletes them.
package tenancy

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/app"
)

// Scopes of organizations.
const (
	ScopeRead  = "orgs:read"
	ScopeWrite = "orgs:write"
)

// DefaultPlan is the plan of an organization that is created without one.
const DefaultPlan = "free"

// Store keeps organizations.
type Store interface {
	InsertOrg(ctx context.Context, o app.Org) error
	Org(ctx context.Context, id app.OrgID) (app.Org, error)
	OrgBySlug(ctx context.Context, slug string) (app.Org, error)
	Orgs(ctx context.Context, p app.Page) (app.List[app.Org], error)
	UpdateOrg(ctx context.Context, id app.OrgID, change func(*app.Org) error) (app.Org, error)
	DeleteOrg(ctx context.Context, id app.OrgID) error
}

// Service lets operators manage organizations. Organizations are found by id
// or slug: a slug holds no underscore, so the two cannot be confused.
type Service struct {
	Store Store
	Now   func() time.Time
}

// now has the store's precision, so that what Create answers equals what is
// read later.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }

// Find answers an organization.
func (s *Service) Find(ctx context.Context, actor app.Actor, idOrSlug string) (app.Org, error) {
	if err := actor.Require(ScopeRead); err != nil {
		return app.Org{}, err
	}
	return s.find(ctx, idOrSlug)
}

func (s *Service) find(ctx context.Context, idOrSlug string) (app.Org, error) {
	if strings.HasPrefix(idOrSlug, "org_") {
		return s.Store.Org(ctx, app.OrgID(idOrSlug))
	}
	return s.Store.OrgBySlug(ctx, idOrSlug)
}

// List answers a page of organizations, newest first. The page's filter is a
// status, "plan:" and a slug, or "upstream:" and a name.
func (s *Service) List(ctx context.Context, actor app.Actor, page app.Page) (app.List[app.Org], error) {
	if err := actor.Require(ScopeRead); err != nil {
		return app.List[app.Org]{}, err
	}
	return s.Store.Orgs(ctx, page)
}

// Delete removes an organization with its keys and sessions, for ever. Its
// usage stays in the ledger.
func (s *Service) Delete(ctx context.Context, actor app.Actor, idOrSlug string) error {
	if err := actor.Require(ScopeWrite); err != nil {
		return err
	}
	o, err := s.find(ctx, idOrSlug)
	if err != nil {
		return err
	}
	return s.Store.DeleteOrg(ctx, o.ID)
}

// Edit holds what is to be changed; nil stays.
type Edit struct {
	Name     *string
	Slug     *string
	Plan     *string
	Upstream *string // empty: the routes' upstream
}

func (e Edit) check() []app.FieldError {
	var wrong []app.FieldError
	if e.Name != nil {
		wrong = append(wrong, checkName(*e.Name)...)
	}
	if e.Slug != nil && !app.ValidSlug(*e.Slug) {
		wrong = append(wrong, badSlug())
	}
	return wrong
}

func checkName(name string) []app.FieldError {
	if bad := app.CheckName("name", name); bad != nil {
		return []app.FieldError{*bad}
	}
	return nil
}

func badSlug() app.FieldError {
	return app.FieldError{Field: "slug", Message: "must be 1–63 of a-z 0-9 -, and not begin or end with -"}
}

// Update changes what the edit holds. Errors: conflict slug_taken, invalid
// fields, a plan or upstream that does not exist.
func (s *Service) Update(ctx context.Context, actor app.Actor, idOrSlug string, edit Edit) (app.Org, error) {
	return s.change(ctx, actor, idOrSlug, edit.check(), func(o *app.Org) error {
		for field, value := range map[*string]*string{&o.Name: edit.Name, &o.Slug: edit.Slug, &o.Plan: edit.Plan, &o.Upstream: edit.Upstream} {
			if value != nil {
				*field = *value
			}
		}
		return nil
	})
}

// Suspend stops an organization's traffic with 403 until it is resumed. The
// reason, at most 500 characters, is for people; suspending again renews it.
// A cancelled organization is a conflict.
func (s *Service) Suspend(ctx context.Context, actor app.Actor, idOrSlug, reason string) (app.Org, error) {
	var wrong []app.FieldError
	if !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > 500 || strings.ContainsRune(reason, 0) {
		wrong = []app.FieldError{{Field: "reason", Message: "must be UTF-8 text of at most 500 characters"}}
	}
	return s.change(ctx, actor, idOrSlug, wrong, func(o *app.Org) error {
		if o.Status == app.OrgStatusCancelled {
			return app.Conflict("org_cancelled", "The organization %q is cancelled: it is stopped already.", o.Slug)
		}
		o.Status, o.Reason = app.OrgStatusSuspended, strings.TrimSpace(reason)
		return nil
	})
}

// Resume lets a suspended or cancelled organization's traffic pass again.
func (s *Service) Resume(ctx context.Context, actor app.Actor, idOrSlug string) (app.Org, error) {
	return s.change(ctx, actor, idOrSlug, nil, func(o *app.Org) error {
		o.Status, o.Reason = app.OrgStatusActive, ""
		return nil
	})
}

// Cancel stops an organization's traffic because the customer left.
func (s *Service) Cancel(ctx context.Context, actor app.Actor, idOrSlug string) (app.Org, error) {
	return s.change(ctx, actor, idOrSlug, nil, func(o *app.Org) error {
		o.Status, o.Reason = app.OrgStatusCancelled, ""
		return nil
	})
}

// change authorises, refuses wrong fields, and changes the organization in one step.
func (s *Service) change(ctx context.Context, actor app.Actor, idOrSlug string, wrong []app.FieldError, change func(*app.Org) error) (app.Org, error) {
	if err := actor.Require(ScopeWrite); err != nil {
		return app.Org{}, err
	}
	if len(wrong) > 0 {
		return app.Org{}, app.InvalidFields(wrong)
	}
	o, err := s.find(ctx, idOrSlug)
	if err != nil {
		return app.Org{}, err
	}
	return s.Store.UpdateOrg(ctx, o.ID, func(o *app.Org) error {
		o.UpdatedAt = s.now()
		return change(o)
	})
}
