package main

import (
	"context"
	"fmt"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/app/keys"
	"gatehouse/app/routing"
	"gatehouse/app/tenancy"
	"gatehouse/embed/demo"
)

// furnish puts routes, an operator, organizations and keys into the demo.
func (s *stage) furnish(ctx context.Context, upstream, models string) error {
	for _, part := range []func(context.Context) error{
		func(ctx context.Context) error { return s.layRoutes(ctx, upstream, models) },
		s.signIn, s.defineMeters, s.admit, s.invite,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// layRoutes shows what routes can do on the sample app.
func (s *stage) layRoutes(ctx context.Context, upstream, models string) error {
	paid := func(name, header, prefix string) app.Upstream {
		return app.Upstream{Name: name, Addresses: []string{models}, AllowPrivate: true,
			Credential: &app.Credential{Header: header, Prefix: prefix, Secret: "sk-demo-not-a-real-secret"}}
	}
	set := routing.Set{
		Upstreams: []app.Upstream{{Name: "sample", Addresses: []string{upstream}, Health: &app.HealthCheck{Path: "/healthz"}},
			paid("anthropic", "x-api-key", ""), paid("openai", "Authorization", "Bearer ")},
		Routes: []app.Route{
			{Name: "app", PathPrefix: "/", Upstream: "sample", Closed: []string{"/internal"}},
			{Name: "documents", PathPrefix: "/v1/documents", Upstream: "sample",
				Headers: app.Edits{Set: map[string]string{"X-Plan": "${org.plan}"}}},
			{Name: "slow", PathPrefix: "/v1/slow", Upstream: "sample", Weight: 2,
				RateLimits: []app.RateLimit{{Name: "slow", Requests: 600, Window: app.Duration(minute)}}},
			{Name: "anthropic", PathPrefix: "/egress/anthropic", StripPrefix: "/egress/anthropic", Upstream: "anthropic", Egress: &app.Egress{API: app.EgressAnthropic}},
			{Name: "openai", PathPrefix: "/egress/openai", StripPrefix: "/egress/openai", Upstream: "openai", Egress: &app.Egress{API: app.EgressOpenAI}},
			{Name: "health", PathPrefix: "/healthz", Upstream: "sample", Auth: []app.AuthMode{app.AuthNone}},
		},
	}
	_, err := s.program.routes.Apply(ctx, s.cli.actor(), set, true)
	return err
}

// claim makes the first operator.
func (s *stage) claim(ctx context.Context, email, password string) error {
	_, err := s.program.auth.AddOperator(ctx, s.cli.actor(), auth.NewOperator{Email: email, Name: "Demo operator", Password: password})
	return err
}

// defineMeters counts what only the sample app knows.
func (s *stage) defineMeters(ctx context.Context) error {
	_, err := s.program.meterSet.Apply(ctx, s.cli.actor(), []app.Meter{
		{Slug: "documents", Name: "Documents", Unit: "document", Aggregation: app.AggregationCount, EventType: "document.created", Dimensions: []string{"format"}},
		{Slug: "pages", Name: "Pages", Unit: "page", Aggregation: app.AggregationSum, EventType: "document.created", Value: "pages", Dimensions: []string{"format"}},
	})
	return err
}

// admit makes the operator's keys: for the management API, and for the sample
// app's own calls.
func (s *stage) admit(ctx context.Context) error {
	minted, err := s.program.keys.Mint(ctx, s.cli.actor(), keys.New{Name: "demo", Scopes: []string{"*"}})
	if err != nil {
		return err
	}
	s.shown.AdminAPIKey = minted.Secret
	own, err := s.program.keys.Mint(ctx, s.cli.actor(), keys.New{Name: "sample app", Scopes: []string{"egress", "events:write", "reservations:write"}})
	s.agents.Key = own.Secret
	return err
}

// invite creates the organizations, each with the key that its client uses,
// and one more key to be pasted.
func (s *stage) invite(ctx context.Context) error {
	for i, customer := range demo.Customers() {
		org, err := s.program.orgs.Create(ctx, s.cli.actor(), tenancy.New{Name: customer.Name, Plan: customer.Plan})
		if err != nil {
			return err
		}
		minted, err := s.program.keys.Mint(ctx, s.cli.actor(), keys.New{Org: org.ID, Name: "production"})
		if err != nil {
			return err
		}
		if customer.Suspended {
			if _, err := s.program.orgs.Suspend(ctx, s.cli.actor(), org.Slug, "invoice unpaid for 30 days"); err != nil {
				return err
			}
		}
		s.agents.Orgs = append(s.agents.Orgs, demo.Worker{Org: string(org.ID), Rate: customer.Tasks()})
		s.clients = append(s.clients, demo.Client{Customer: customer, Key: minted.Secret, Address: fmt.Sprintf("203.0.113.%d", i+1)})
		if s.shown.APIKey == "" && customer.Plan == "pro" {
			own, err := s.program.keys.Mint(ctx, s.cli.actor(), keys.New{Org: org.ID, Name: "your terminal"})
			if err != nil {
				return err
			}
			s.shown.APIKey = own.Secret
		}
	}
	s.clients = append(s.clients, demo.Stranger())
	return nil
}
