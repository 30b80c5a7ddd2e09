package billing

import (
	"context"
	"regexp"

	"gatehouse/app"
)

// Scopes of billing customers.
const (
	ScopeCustomerRead  = "billing:read"
	ScopeCustomerWrite = "billing:write"
)

// CustomerStore keeps organizations as billing providers know them.
type CustomerStore interface {
	BillingCustomer(ctx context.Context, org app.OrgID, provider app.BillingProvider) (app.BillingCustomer, error)
	BillingCustomers(ctx context.Context, provider app.BillingProvider) ([]app.BillingCustomer, error)
	BillingCustomerPage(ctx context.Context, provider app.BillingProvider, p app.Page) (app.List[app.BillingCustomer], error)
	SetBillingCustomer(ctx context.Context, c app.BillingCustomer) error
	DeleteBillingCustomer(ctx context.Context, org app.OrgID, provider app.BillingProvider) error
}

// Customers lets operators say which customer of Stripe an organization is.
type Customers struct{ Store CustomerStore }

// stripeCustomer is what ids of Stripe's customers look like.
var stripeCustomer = regexp.MustCompile(`^cus_[A-Za-z0-9_]{1,250}$`)

// Customer is the organization at Stripe; not found when it has no customer.
func (c *Customers) Customer(ctx context.Context, actor app.Actor, org app.OrgID) (app.BillingCustomer, error) {
	if err := actor.Require(ScopeCustomerRead); err != nil {
		return app.BillingCustomer{}, err
	}
	return c.Store.BillingCustomer(ctx, org, app.BillingStripe)
}

// Customers lists every organization that has a customer at Stripe.
func (c *Customers) Customers(ctx context.Context, actor app.Actor) ([]app.BillingCustomer, error) {
	if err := actor.Require(ScopeCustomerRead); err != nil {
		return nil, err
	}
	return c.Store.BillingCustomers(ctx, app.BillingStripe)
}

// Page lists organizations that have a customer at Stripe, the newest change
// first.
func (c *Customers) Page(ctx context.Context, actor app.Actor, p app.Page) (app.List[app.BillingCustomer], error) {
	if err := actor.Require(ScopeCustomerRead); err != nil {
		return app.List[app.BillingCustomer]{}, err
	}
	return c.Store.BillingCustomerPage(ctx, app.BillingStripe, p)
}

// Set names the organization's customer, or renames it. Its usage that waited
// for one is reported then; what was reported to another one stays there.
func (c *Customers) Set(ctx context.Context, actor app.Actor, org app.OrgID, customer string) (app.BillingCustomer, error) {
	if err := actor.Require(ScopeCustomerWrite); err != nil {
		return app.BillingCustomer{}, err
	}
	if !stripeCustomer.MatchString(customer) {
		return app.BillingCustomer{}, app.Invalid("customer", "%q must look like cus_NciAYcXfLnqBoz", customer)
	}
	if err := c.Store.SetBillingCustomer(ctx, app.BillingCustomer{Org: org, Provider: app.BillingStripe, Customer: customer}); err != nil {
		return app.BillingCustomer{}, err
	}
	return c.Store.BillingCustomer(ctx, org, app.BillingStripe)
}

// Remove forgets the organization's customer: its usage waits from then on.
func (c *Customers) Remove(ctx context.Context, actor app.Actor, org app.OrgID) error {
	if err := actor.Require(ScopeCustomerWrite); err != nil {
		return err
	}
	return c.Store.DeleteBillingCustomer(ctx, org, app.BillingStripe)
}
