package api

import (
	"context"
	"strings"

	"gatehouse/app"
	"gatehouse/app/tenancy"
)

const aboutCreateOrg = "The slug is made from the name unless it is given, and gets a number when it is taken. " +
	"The plan is `free` unless another is named."

// OrgPath names an organization in a path.
type OrgPath struct {
	Org string `path:"org" doc:"The organization's id or slug" maxLength:"100" example:"acme"`
}

// Creation is what every creating call takes.
type Creation struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Any text that is new for a new request. The same request sent again with it within 24 hours is done once and answered alike (with Idempotency-Replayed: true)."`
}

// PageInput asks for part of a list.
type PageInput struct {
	Cursor string `query:"cursor" doc:"What the page before gave as next"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Items on a page"`
	Search string `query:"search" maxLength:"200" doc:"Text that the name holds, in any case"`
}

func (p PageInput) page(filter string) app.Page {
	return app.Page{Cursor: p.Cursor, Limit: p.Limit, Search: p.Search, Filter: filter}
}

type listOrgsInput struct {
	PageInput
	Status string `query:"status" enum:"active,suspended,cancelled" doc:"Only organizations in this state"`
	Plan   string `query:"plan" doc:"Only organizations on this plan, by its slug"`
}

// answerOf is an answer whose body is T.
type answerOf[T any] struct{ Body T }

func (x *API) listOrgs(ctx context.Context, actor app.Actor, in *listOrgsInput) (*answerOf[app.List[app.Org]], error) {
	filter := in.Status
	switch {
	case in.Status != "" && in.Plan != "":
		return nil, app.Invalid("plan", "cannot be combined with status")
	case in.Plan != "" && !app.ValidSlug(in.Plan):
		return nil, app.Invalid("plan", "must be the slug of a plan")
	case in.Plan != "":
		filter = "plan:" + in.Plan
	}
	list, err := x.Orgs.List(ctx, actor, in.page(filter))
	return answer(list, err)
}

// answer wraps what a service returned.
func answer[T any](body T, err error) (*answerOf[T], error) {
	if err != nil {
		return nil, err
	}
	return &answerOf[T]{body}, nil
}

// NewOrg is the body of createOrg.
type NewOrg struct {
	Name     string `json:"name" doc:"Shown to people, 1–200 characters" example:"Acme Robotics"`
	Slug     string `json:"slug,omitempty" doc:"1–63 of a-z 0-9 -, unique; made from the name by default" example:"acme"`
	Plan     string `json:"plan,omitempty" doc:"Slug of the plan; free by default" example:"pro"`
	Upstream string `json:"upstream,omitempty" doc:"Name of an upstream of its own"`
}

type createOrgInput struct {
	Creation
	Body NewOrg
}

func (x *API) createOrg(ctx context.Context, actor app.Actor, in *createOrgInput) (*answerOf[app.Org], error) {
	return answer(x.Orgs.Create(ctx, actor, tenancy.New(in.Body)))
}

func (x *API) getOrg(ctx context.Context, actor app.Actor, in *OrgPath) (*answerOf[app.Org], error) {
	return answer(x.Orgs.Find(ctx, actor, in.Org))
}

// OrgEdit is the body of updateOrg.
type OrgEdit struct {
	Name     *string `json:"name,omitempty" doc:"Shown to people, 1–200 characters"`
	Slug     *string `json:"slug,omitempty" doc:"1–63 of a-z 0-9 -, unique"`
	Plan     *string `json:"plan,omitempty" doc:"Slug of the plan; its limits hold from the next request on" example:"enterprise"`
	Upstream *string `json:"upstream,omitempty" doc:"Name of an upstream of its own; empty takes it away"`
}

type updateOrgInput struct {
	OrgPath
	Body OrgEdit
}

func (x *API) updateOrg(ctx context.Context, actor app.Actor, in *updateOrgInput) (*answerOf[app.Org], error) {
	return answer(x.Orgs.Update(ctx, actor, in.Org, tenancy.Edit(in.Body)))
}

// Suspension is the body of suspendOrg.
type Suspension struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Why, for the operator's eyes"`
}

type suspendOrgInput struct {
	OrgPath
	Body *Suspension
}

func (x *API) suspendOrg(ctx context.Context, actor app.Actor, in *suspendOrgInput) (*answerOf[app.Org], error) {
	reason := ""
	if in.Body != nil {
		reason = in.Body.Reason
	}
	return answer(x.Orgs.Suspend(ctx, actor, in.Org, reason))
}

func (x *API) resumeOrg(ctx context.Context, actor app.Actor, in *OrgPath) (*answerOf[app.Org], error) {
	return answer(x.Orgs.Resume(ctx, actor, in.Org))
}

func (x *API) cancelOrg(ctx context.Context, actor app.Actor, in *OrgPath) (*answerOf[app.Org], error) {
	return answer(x.Orgs.Cancel(ctx, actor, in.Org))
}

func (x *API) deleteOrg(ctx context.Context, actor app.Actor, in *OrgPath) (*struct{}, error) {
	return nil, x.Orgs.Delete(ctx, actor, in.Org)
}

// org finds the organization whose keys, sessions or usage a call is about.
// The call's own scope was checked before, and is all that it takes.
func (x *API) org(ctx context.Context, idOrSlug string) (app.OrgID, error) {
	var found app.Org
	var err error
	if strings.HasPrefix(idOrSlug, "org_") { // a slug holds no _
		found, err = x.Identities.Org(ctx, app.OrgID(idOrSlug))
	} else {
		found, err = x.Identities.OrgBySlug(ctx, idOrSlug)
	}
	return found.ID, err
}
