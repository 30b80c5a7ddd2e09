package api

import (
	"context"
	"time"

	"gatehouse/app"
)

const aboutUsage = "Counts what passed the gate between `since` and `until`, from 15-minute buckets: " +
	"both times and `step` must fall on whole quarters of an hour. Without `step` there is one row for the whole range. " +
	"The sums hold everything that was answered so far, also what is not yet written to a bucket."

// UsageInput asks for usage.
type UsageInput struct {
	Since time.Time `query:"since" doc:"Begin, with its time zone; 24 hours before until by default" example:"2026-11-01T00:00:00+05:30"`
	Until time.Time `query:"until" doc:"End, not part of it; the end of the current quarter of an hour by default" example:"2026-12-01T00:00:00+05:30"`
	Step  string    `query:"step" doc:"Length of a row, such as 15m, 1h or 1d; by default one row" example:"1d"`
	Group string    `query:"group" enum:"key,route,org" doc:"A row for each of these; org for an operator's report on all organizations"`
	Key   app.KeyID `query:"key" doc:"Only this key's" maxLength:"100"`
	Route string    `query:"route" doc:"Only this route's" maxLength:"100"`
}

type getUsageInput struct {
	UsageInput
	Org string `query:"org" doc:"Only this organization's, by id or slug; for an operator" maxLength:"100"`
}

// UsageReport is usage in a range.
type UsageReport struct {
	Org   app.OrgID      `json:"org_id,omitempty" doc:"The organization; absent in a report on all"`
	Since time.Time      `json:"since" doc:"Begin"`
	Until time.Time      `json:"until" doc:"End, not part of it"`
	Step  app.Duration   `json:"step,omitempty" doc:"Length of a row; absent when there is one for the whole range"`
	Group string         `json:"group,omitempty" doc:"What the rows are divided by"`
	Items []app.UsageRow `json:"items" doc:"The rows, by time and then by group"`
}

func (x *API) getUsage(ctx context.Context, actor app.Actor, in *getUsageInput) (*answerOf[UsageReport], error) {
	if actor.Kind == app.ActorKey {
		if in.Org != "" || in.Group == "org" {
			return nil, app.Invalid("org", "is for an operator; an organization's key sees its own usage")
		}
		return x.report(ctx, actor, actor.OrgID, &in.UsageInput)
	}
	if in.Org == "" {
		return x.report(ctx, actor, "", &in.UsageInput)
	}
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return x.report(ctx, actor, org, &in.UsageInput)
}

type getOrgUsageInput struct {
	OrgPath
	UsageInput
}

func (x *API) getOrgUsage(ctx context.Context, actor app.Actor, in *getOrgUsageInput) (*answerOf[UsageReport], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return x.report(ctx, actor, org, &in.UsageInput)
}

func (x *API) report(ctx context.Context, actor app.Actor, org app.OrgID, in *UsageInput) (*answerOf[UsageReport], error) {
	query, err := in.query(org, x.Now())
	if err != nil {
		return nil, err
	}
	rows, err := x.Usage.Usage(ctx, actor, query)
	return answer(UsageReport{Org: org, Since: query.Since, Until: query.Until, Step: app.Duration(query.Step),
		Group: query.Group, Items: notNull(rows)}, err)
}

// query completes what was left out. The service would widen the range to
// whole buckets; a caller of the API is told instead.
func (in *UsageInput) query(org app.OrgID, now time.Time) (q app.UsageQuery, err error) {
	q = app.UsageQuery{Org: org, Key: in.Key, Route: app.RouteID(in.Route), Since: in.Since, Until: in.Until, Group: in.Group}
	if q.Until.IsZero() {
		q.Until = now.UTC().Truncate(app.BucketLength).Add(app.BucketLength)
	}
	if q.Since.IsZero() {
		q.Since = q.Until.Add(-24 * time.Hour)
	}
	if in.Step != "" {
		step, err := app.ParseDuration(in.Step)
		if err != nil {
			return q, app.Invalid("step", "%s", err)
		}
		q.Step = step.Std()
	}
	switch {
	case !onBucket(q.Since):
		return q, app.Invalid("since", "must fall on a whole quarter of an hour")
	case !onBucket(q.Until):
		return q, app.Invalid("until", "must fall on a whole quarter of an hour")
	}
	return q, nil
}

func onBucket(at time.Time) bool { return at.UnixNano()%int64(app.BucketLength) == 0 }
