package gateway

import (
	"context"

	"gatehouse/app"
	"gatehouse/app/quota"
)

// QuotaBook is the organization's quotas as the gate holds them: compiled once
// for each state of the organization. nil: quotas are not kept here.
func (g *Gateway) QuotaBook(ctx context.Context, id app.OrgID) (*quota.Book, error) {
	found, err := g.tenants.tenant(ctx, id)
	if err != nil {
		return nil, err
	}
	state, err := g.tenants.state(ctx, found)
	if err != nil {
		return nil, err
	}
	return state.book, nil
}
