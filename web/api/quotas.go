package api

import (
	"context"

	"gatehouse/app"
)

const (
	aboutQuotas = "How each quota of the organization and of its keys stands in its current period. Numbers of the meter `cost` are micros: " +
		"millionths of a dollar. `exhausted_at` is a forecast from the period so far."
	aboutPutQuota = "Replaces the plan's quota of this meter and period for the organization, or adds one; with `key` it is that key's alone, " +
		"and holds beside the organization's. It holds from the next request on. `limit` of the meter `cost` is in micros: 25000000 is $25."
	aboutNotices = "Thresholds that were passed, newest first: by default at 80, 90, 100 and 200 per cent of a quota. There is one for each " +
		"threshold and period, ever."
)

// ownOrg names an organization; for an operator.
type ownOrg struct {
	Org string `query:"org" doc:"The organization, by id or slug; an operator must name it" maxLength:"100"`
}

func (x *API) listQuotas(ctx context.Context, actor app.Actor, in *ownOrg) (*answerOf[Items[app.QuotaState]], error) {
	if in.Org == "" && actor.Kind != app.ActorKey {
		return nil, app.Invalid("org", "is required of an operator")
	}
	return items(x.Quotas.Quotas(ctx, actor, in.Org))
}

// OrgQuotas is how an organization's quotas stand, and what overrides its plan.
type OrgQuotas struct {
	Items     []app.QuotaState    `json:"items" doc:"How each quota stands: the organization's, then its keys'"`
	Overrides []app.QuotaOverride `json:"overrides" doc:"What was set for the organization and its keys, beside or in place of the plan's"`
}

func (x *API) getOrgQuotas(ctx context.Context, actor app.Actor, in *OrgPath) (*answerOf[OrgQuotas], error) {
	states, err := x.Quotas.Quotas(ctx, actor, in.Org)
	if err != nil {
		return nil, err
	}
	overrides, err := x.Quotas.Find(ctx, actor, in.Org)
	return answer(OrgQuotas{notNull(states), notNull(overrides)}, err)
}

// QuotaPath names a quota of an organization, or of one of its keys.
type QuotaPath struct {
	OrgPath
	Meter  string          `path:"meter" doc:"The meter" maxLength:"100" example:"agent_minutes"`
	Period app.QuotaPeriod `path:"period" doc:"minute, hour, day, month, billing_period or lifetime" maxLength:"20" example:"month"`
	Key    app.KeyID       `query:"key" doc:"A key of the organization, whose quota it is" maxLength:"100"`
}

// NewQuota is the body of putQuota.
type NewQuota struct {
	Limit      int64         `json:"limit,omitempty" doc:"What is granted in a period; of the meter cost in micros" example:"20000"`
	Unlimited  bool          `json:"unlimited,omitempty" doc:"There is no such quota, whatever the plan says"`
	Mode       app.QuotaMode `json:"mode,omitempty" doc:"hard (the default without overage) or soft"`
	Grace      int64         `json:"grace,omitempty" doc:"Per cent beyond the limit that a hard quota lets pass"`
	Overage    *app.Money    `json:"overage,omitempty" doc:"Price of a unit beyond"`
	Thresholds []int64       `json:"thresholds,omitempty" doc:"Per cent at which a notice is given; 80, 90, 100 and 200 by default"`
	Reason     string        `json:"reason,omitempty" maxLength:"200" doc:"Why, for the operator's eyes" example:"agreed in May"`
}

type putQuotaInput struct {
	QuotaPath
	Body NewQuota
}

func (x *API) putQuota(ctx context.Context, actor app.Actor, in *putQuotaInput) (*answerOf[app.QuotaOverride], error) {
	if err := x.hasKey(ctx, in.Org, in.Key); err != nil {
		return nil, err
	}
	b := in.Body
	return answer(x.Quotas.Put(ctx, actor, in.Org, app.QuotaOverride{Key: in.Key, Unlimited: b.Unlimited, Reason: b.Reason,
		Quota: app.Quota{Meter: in.Meter, Period: in.Period, Limit: b.Limit, Mode: b.Mode, Grace: b.Grace, Overage: b.Overage, Thresholds: b.Thresholds}}))
}

// hasKey answers not_found unless the key, if one is named, is the organization's.
func (x *API) hasKey(ctx context.Context, idOrSlug string, key app.KeyID) error {
	if key == "" {
		return nil
	}
	org, err := x.org(ctx, idOrSlug)
	if err != nil {
		return err
	}
	_, err = x.OrgKeys.Find(ctx, app.Actor{Kind: app.ActorSystem}, org, key)
	return err
}

func (x *API) deleteQuota(ctx context.Context, actor app.Actor, in *QuotaPath) (*struct{}, error) {
	return nil, x.Quotas.Delete(ctx, actor, in.Org, in.Key, in.Meter, in.Period)
}

type listNoticesInput struct {
	Cursor string `query:"cursor" doc:"What the page before gave as next"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Items on a page"`
	Org    string `query:"org" doc:"Only this organization's, by id or slug; for an operator" maxLength:"100"`
}

func (x *API) listQuotaNotices(ctx context.Context, actor app.Actor, in *listNoticesInput) (*answerOf[app.List[app.QuotaNotice]], error) {
	list, err := x.Quotas.Notices(ctx, actor, in.Org, app.Page{Cursor: in.Cursor, Limit: in.Limit})
	list.Items = notNull(list.Items)
	return answer(list, err)
}
