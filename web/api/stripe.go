package api

import (
	"context"

	"gatehouse/app"
	"gatehouse/app/export"
)

const (
	aboutPutCustomer = "Usage of the organization that waited for a customer is reported within a minute; what was reported to " +
		"another customer stays there. Several organizations may have the same customer."
	aboutOutbox = "Usage is put into an outbox and reported from there, see [the manual](/docs/export). `troubles` are the newest " +
		"100 that are parked or wait for a customer, with their reasons."
	aboutStripeEvents = "The newest change first. `parked` ones were refused, with their `reason`; `waiting` ones have no customer; " +
		"`due` ones are sent next; `delivered` ones are kept for 35 days."
	aboutRetry = "Only what is parked is sent again. Look at Stripe first whether it has a row whose answer was lost: whoever retries " +
		"it says that Stripe has not got it."
)

type listCustomersInput struct {
	Cursor string `query:"cursor" doc:"What the page before gave as next"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Items on a page"`
}

func (x *API) listStripeCustomers(ctx context.Context, actor app.Actor, in *listCustomersInput) (*answerOf[app.List[app.BillingCustomer]], error) {
	list, err := x.Customers.Page(ctx, actor, app.Page{Cursor: in.Cursor, Limit: in.Limit})
	list.Items = notNull(list.Items)
	return answer(list, err)
}

func (x *API) getStripeCustomer(ctx context.Context, actor app.Actor, in *OrgPath) (*answerOf[app.BillingCustomer], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return answer(x.Customers.Customer(ctx, actor, org))
}

type putCustomerInput struct {
	OrgPath
	Body struct {
		Customer string `json:"customer" maxLength:"254" doc:"Stripe's id of the customer" example:"cus_NciAYcXfLnqBoz"`
	} `nameHint:"NewBillingCustomer"`
}

func (x *API) putStripeCustomer(ctx context.Context, actor app.Actor, in *putCustomerInput) (*answerOf[app.BillingCustomer], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	set, err := x.Customers.Set(ctx, actor, org, in.Body.Customer)
	return answer(set, err)
}

func (x *API) deleteStripeCustomer(ctx context.Context, actor app.Actor, in *OrgPath) (*struct{}, error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return nil, x.Customers.Remove(ctx, actor, org)
}

func (x *API) getStripeOutbox(ctx context.Context, actor app.Actor, _ *struct{}) (*answerOf[export.StripeStatus], error) {
	status, err := x.Desk.Status(ctx, actor)
	status.Troubles = notNull(status.Troubles)
	return answer(status, err)
}

type listStripeEventsInput struct {
	Cursor string              `query:"cursor" doc:"What the page before gave as next"`
	Limit  int                 `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Items on a page"`
	State  app.MeterEventState `query:"state" enum:"due,waiting,delivered,parked" default:"parked" doc:"Only those in this state"`
	Org    string              `query:"org" doc:"Only this organization's, by id or slug" maxLength:"100"`
}

func (x *API) listStripeEvents(ctx context.Context, actor app.Actor, in *listStripeEventsInput) (*answerOf[app.List[app.MeterEvent]], error) {
	var org app.OrgID
	if in.Org != "" {
		var err error
		if org, err = x.org(ctx, in.Org); err != nil {
			return nil, err
		}
	}
	list, err := x.Desk.Events(ctx, actor, in.State, org, app.Page{Cursor: in.Cursor, Limit: in.Limit})
	list.Items = notNull(list.Items)
	return answer(list, err)
}

// Retried says how many events are due again.
type Retried struct {
	Due int64 `json:"due" doc:"Events that are sent again" example:"1"`
}

func (x *API) retryStripeEvents(ctx context.Context, actor app.Actor, _ *struct{}) (*answerOf[Retried], error) {
	due, err := x.Desk.Retry(ctx, actor, "")
	return answer(Retried{due}, err)
}

type retryEventInput struct {
	Event string `path:"event" doc:"The event's identifier" maxLength:"200" example:"gh_4711_org_01kavq5m3n8r2t4w6y9b1d3f5h_pages_1995024"`
}

func (x *API) retryStripeEvent(ctx context.Context, actor app.Actor, in *retryEventInput) (*answerOf[Retried], error) {
	due, err := x.Desk.Retry(ctx, actor, in.Event)
	return answer(Retried{due}, err)
}
