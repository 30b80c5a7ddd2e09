package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gatehouse/app"
)

// handlerOf is a noun's handler: input and actor in, output or error out.
type handlerOf[I, O any] func(ctx context.Context, actor app.Actor, in *I) (*O, error)

// route is one row of the table.
type route struct {
	method, path string
	id           string // operationId, and the name of the client's function
	tag          string
	may          who
	summary      string
	about        string // more, in Markdown; may be empty
	status       int    // of success
	mount        func(huma.API, route)
}

// bind makes the row's mount of the noun's handler.
func bind[I, O any](handler handlerOf[I, O]) func(huma.API, route) {
	return func(to huma.API, rt route) { huma.Register(to, rt.operation(), withActor(handler)) }
}

func (rt route) operation() huma.Operation {
	return huma.Operation{
		Method: rt.method, Path: rt.path, OperationID: rt.id, Tags: []string{rt.tag}, Summary: rt.summary,
		Description: rt.description(), DefaultStatus: rt.status, MaxBodyBytes: maxBody, BodyReadTimeout: -1, // the adapter has read it
		RejectUnknownQueryParameters: true, Security: rt.may.security(),
		Metadata: map[string]any{metaWho: rt.may, metaCreates: rt.creates()},
	}
}

// creates reports whether the call takes an Idempotency-Key.
func (rt route) creates() bool { return rt.status == http.StatusCreated }

func (rt route) description() string {
	text := "Operator's key with the scope `" + rt.may.scope + "`"
	if rt.may.own {
		text += ", or an organization's own key"
	}
	parts := []string{text + "."}
	if rt.about != "" {
		parts = append(parts, rt.about)
	}
	return strings.Join(parts, "\n\n")
}

func (m who) security() []map[string][]string {
	schemes := []map[string][]string{{schemeOperator: {}}}
	if m.own {
		schemes = append(schemes, map[string][]string{schemeOrganization: {}})
	}
	return schemes
}

// routes is the table: what the API offers and who may.
func (x *API) routes() []route {
	const get, post, put, patch, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
	const ok, created, empty = http.StatusOK, http.StatusCreated, http.StatusNoContent
	return []route{
		{get, "/v1/orgs", "listOrgs", tagOrgs, operator("orgs:read"), "List organizations", "", ok, bind(x.listOrgs)},
		{post, "/v1/orgs", "createOrg", tagOrgs, operator("orgs:write"), "Create an organization", aboutCreateOrg, created, bind(x.createOrg)},
		{get, "/v1/orgs/{org}", "getOrg", tagOrgs, operator("orgs:read"), "Get an organization", "", ok, bind(x.getOrg)},
		{patch, "/v1/orgs/{org}", "updateOrg", tagOrgs, operator("orgs:write"), "Change an organization", "Fields left out stay as they are.", ok, bind(x.updateOrg)},
		{post, "/v1/orgs/{org}/suspend", "suspendOrg", tagOrgs, operator("orgs:write"), "Suspend an organization", "Its requests are answered 403 `org_suspended` from the next one on.", ok, bind(x.suspendOrg)},
		{post, "/v1/orgs/{org}/resume", "resumeOrg", tagOrgs, operator("orgs:write"), "Resume an organization", "Ends a suspension or a cancellation.", ok, bind(x.resumeOrg)},
		{post, "/v1/orgs/{org}/cancel", "cancelOrg", tagOrgs, operator("orgs:write"), "Cancel an organization", "Its requests are answered 403 `org_cancelled`; nothing is deleted.", ok, bind(x.cancelOrg)},
		{del, "/v1/orgs/{org}", "deleteOrg", tagOrgs, operator("orgs:write"), "Delete an organization", "Its keys and sessions go with it and cannot be brought back. Its usage stays, under its id.", empty, bind(x.deleteOrg)},

		{get, "/v1/orgs/{org}/keys", "listKeys", tagKeys, operator("keys:read"), "List an organization's keys", "", ok, bind(x.listKeys)},
		{post, "/v1/orgs/{org}/keys", "createKey", tagKeys, operator("keys:write"), "Create a key", aboutSecret, created, bind(x.createKey)},
		{get, "/v1/orgs/{org}/keys/{key}", "getKey", tagKeys, operator("keys:read"), "Get a key", "", ok, bind(x.getKey)},
		{post, "/v1/orgs/{org}/keys/{key}/rotate", "rotateKey", tagKeys, operator("keys:write"), "Replace a key", aboutRotate, created, bind(x.rotateKey)},
		{post, "/v1/orgs/{org}/keys/{key}/revoke", "revokeKey", tagKeys, operator("keys:write"), "Revoke a key", aboutRevoke, ok, bind(x.revokeKey)},

		{get, "/v1/operator-keys", "listOperatorKeys", tagOperatorKeys, operator("operator_keys:read"), "List the operator's keys", "", ok, bind(x.listOperatorKeys)},
		{post, "/v1/operator-keys", "createOperatorKey", tagOperatorKeys, operator("operator_keys:write"), "Create an operator's key", aboutSecret + " A key cannot give on a scope that it does not hold.", created, bind(x.createOperatorKey)},
		{get, "/v1/operator-keys/{key}", "getOperatorKey", tagOperatorKeys, operator("operator_keys:read"), "Get an operator's key", "", ok, bind(x.getOperatorKey)},
		{post, "/v1/operator-keys/{key}/rotate", "rotateOperatorKey", tagOperatorKeys, operator("operator_keys:write"), "Replace an operator's key", aboutRotate, created, bind(x.rotateOperatorKey)},
		{post, "/v1/operator-keys/{key}/revoke", "revokeOperatorKey", tagOperatorKeys, operator("operator_keys:write"), "Revoke an operator's key", aboutRevoke, ok, bind(x.revokeOperatorKey)},

		{get, "/v1/plans", "listPlans", tagPlans, operator("plans:read"), "List plans", "", ok, bind(x.listPlans)},
		{post, "/v1/plans/apply", "applyPlans", tagPlans, operator("plans:write"), "Create or replace several plans", aboutApply, ok, bind(x.applyPlans)},
		{get, "/v1/plans/{plan}", "getPlan", tagPlans, operator("plans:read"), "Get a plan", "", ok, bind(x.getPlan)},
		{put, "/v1/plans/{plan}", "putPlan", tagPlans, operator("plans:write"), "Create or replace a plan", "", ok, bind(x.putPlan)},
		{del, "/v1/plans/{plan}", "deletePlan", tagPlans, operator("plans:write"), "Delete a plan", "A plan that organizations are on is kept: 409 `plan_in_use`.", empty, bind(x.deletePlan)},

		{get, "/v1/upstreams", "listUpstreams", tagRouting, operator("routes:read"), "List upstreams", "", ok, bind(x.listUpstreams)},
		{get, "/v1/upstreams/{upstream}", "getUpstream", tagRouting, operator("routes:read"), "Get an upstream", "", ok, bind(x.getUpstream)},
		{del, "/v1/upstreams/{upstream}", "deleteUpstream", tagRouting, operator("routes:write"), "Delete an upstream", "An upstream that a route or an organization names is kept: 409.", empty, bind(x.deleteUpstream)},
		{get, "/v1/routes", "listRoutes", tagRouting, operator("routes:read"), "List routes", "", ok, bind(x.listRoutes)},
		{get, "/v1/routes/{route}", "getRoute", tagRouting, operator("routes:read"), "Get a route", "", ok, bind(x.getRoute)},
		{del, "/v1/routes/{route}", "deleteRoute", tagRouting, operator("routes:write"), "Delete a route", "", empty, bind(x.deleteRoute)},
		{post, "/v1/routing/apply", "applyRouting", tagRouting, operator("routes:write"), "Create or replace upstreams and routes", aboutApply + " With `prune`, those that the set does not name are deleted.", ok, bind(x.applyRouting)},

		{get, "/v1/usage", "getUsage", tagUsage, operatorOrOwn("usage:read"), "Report usage", aboutUsage, ok, bind(x.getUsage)},
		{get, "/v1/orgs/{org}/usage", "getOrgUsage", tagUsage, operator("usage:read"), "Report an organization's usage", aboutUsage, ok, bind(x.getOrgUsage)},

		{get, "/v1/meters", "listMeters", tagMeters, operator("meters:read"), "List meters", "", ok, bind(x.listMeters)},
		{post, "/v1/meters/apply", "applyMeters", tagMeters, operator("meters:write"), "Create or replace several meters", aboutApply, ok, bind(x.applyMeters)},
		{get, "/v1/meters/{meter}", "getMeter", tagMeters, operator("meters:read"), "Get a meter", "", ok, bind(x.getMeter)},
		{del, "/v1/meters/{meter}", "deleteMeter", tagMeters, operator("meters:write"), "Delete a meter", "What it counted stays in the ledger. Built-in meters stay.", empty, bind(x.deleteMeter)},
		{get, "/v1/meters/{meter}/usage", "getMeterUsage", tagMeters, operatorOrOwn("usage:read"), "Report a meter's usage", aboutMeterUsage, ok, x.bindReport()},

		{get, "/v1/quotas", "listQuotas", tagQuotas, operatorOrOwn("quotas:read"), "Look at an organization's quotas", aboutQuotas, ok, bind(x.listQuotas)},
		{get, "/v1/orgs/{org}/quotas", "getOrgQuotas", tagQuotas, operator("quotas:read"), "Look at an organization's quotas and overrides", aboutQuotas, ok, bind(x.getOrgQuotas)},
		{put, "/v1/orgs/{org}/quotas/{meter}/{period}", "putQuota", tagQuotas, operator("quotas:write"), "Override a quota", aboutPutQuota, ok, bind(x.putQuota)},
		{del, "/v1/orgs/{org}/quotas/{meter}/{period}", "deleteQuota", tagQuotas, operator("quotas:write"), "Take an override away", "What the plan says holds again.", empty, bind(x.deleteQuota)},
		{get, "/v1/quota-notices", "listQuotaNotices", tagQuotas, operatorOrOwn("quotas:read"), "List passed thresholds", aboutNotices, ok, bind(x.listQuotaNotices)},

		{post, "/v1/reservations", "createReservation", tagReservations, operatorOrOwn("reservations:write"), "Reserve", aboutReserve, created, bind(x.createReservation)},
		{get, "/v1/reservations", "listReservations", tagReservations, operatorOrOwn("reservations:read"), "List reservations", "", ok, bind(x.listReservations)},
		{get, "/v1/reservations/{reservation}", "getReservation", tagReservations, operatorOrOwn("reservations:read"), "Get a reservation", "", ok, bind(x.getReservation)},
		{post, "/v1/reservations/{reservation}/settle", "settleReservation", tagReservations, operatorOrOwn("reservations:write"), "Settle a reservation", aboutSettle, ok, bind(x.settleReservation)},
		{post, "/v1/reservations/{reservation}/release", "releaseReservation", tagReservations, operatorOrOwn("reservations:write"), "Release a reservation", "Nothing was used. Releasing again changes nothing.", ok, bind(x.releaseReservation)},
		{post, "/v1/reservations/{reservation}/extend", "extendReservation", tagReservations, operatorOrOwn("reservations:write"), "Keep a reservation alive, or enlarge it", aboutExtend, ok, bind(x.extendReservation)},

		{get, "/v1/rates", "listRates", tagRates, operator("rates:read"), "List what models cost", "", ok, bind(x.listRates)},
		{post, "/v1/rates/apply", "applyRates", tagRates, operator("rates:write"), "Create or replace rates", aboutApply + " What was counted keeps the price that it had.", ok, bind(x.applyRates)},
		{del, "/v1/rates", "deleteRate", tagRates, operator("rates:write"), "Delete a rate", "Calls of a model without a rate are refused where a budget in money holds: 402 `price_unknown`.", empty, bind(x.deleteRate)},

		{post, "/v1/events", "postEvents", tagUsage, operatorOrOwn("events:write"), "Report events", aboutEvents, ok, x.raw(asOwn(x.eventsMount(false)), eventsForm)},
		{post, "/v1/events/import", "importEvents", tagUsage, operator("usage:import"), "Import events of any age", aboutImport, ok, x.raw(x.eventsMount(true), eventsForm)},
		{get, "/v1/usage/verify", "getVerification", tagUsage, operator("usage:read"), "Look at the ledger's last proof", aboutVerification, ok, bind(x.getVerification)},
		{post, "/v1/usage/verify", "verifyUsage", tagUsage, operator("usage:read"), "Prove the ledger now", aboutVerify, ok, bind(x.verifyUsage)},
		{post, "/v1/usage/adjustments", "adjustUsage", tagUsage, operator("usage:write"), "Correct usage", aboutAdjust, created, bind(x.adjustUsage)},
		{get, "/v1/usage/export", "exportUsage", tagUsage, operatorOrOwn("usage:read"), "Export the ledger's records", aboutExport + "\n\n" + aboutOwnExport, ok, x.exportMount()},

		{get, "/v1/stripe/customers", "listStripeCustomers", tagStripe, operator("billing:read"), "List organizations that have a customer at Stripe", "", ok, bind(x.listStripeCustomers)},
		{get, "/v1/orgs/{org}/stripe-customer", "getStripeCustomer", tagStripe, operator("billing:read"), "Get an organization's customer at Stripe", "", ok, bind(x.getStripeCustomer)},
		{put, "/v1/orgs/{org}/stripe-customer", "putStripeCustomer", tagStripe, operator("billing:write"), "Name an organization's customer at Stripe", aboutPutCustomer, ok, bind(x.putStripeCustomer)},
		{del, "/v1/orgs/{org}/stripe-customer", "deleteStripeCustomer", tagStripe, operator("billing:write"), "Forget an organization's customer at Stripe", "Its usage waits from then on.", empty, bind(x.deleteStripeCustomer)},
		{get, "/v1/stripe/outbox", "getStripeOutbox", tagStripe, operator("billing:read"), "Count reported usage by state", aboutOutbox, ok, bind(x.getStripeOutbox)},
		{get, "/v1/stripe/outbox/events", "listStripeEvents", tagStripe, operator("billing:read"), "List reported usage of a state", aboutStripeEvents, ok, bind(x.listStripeEvents)},
		{post, "/v1/stripe/outbox/retry", "retryStripeEvents", tagStripe, operator("billing:write"), "Send everything that is parked again", aboutRetry, ok, bind(x.retryStripeEvents)},
		{post, "/v1/stripe/outbox/events/{event}/retry", "retryStripeEvent", tagStripe, operator("billing:write"), "Send one parked event again", aboutRetry, ok, bind(x.retryStripeEvent)},

		{get, "/v1/traffic", "getTraffic", tagSystem, operator("traffic:read"), "Look at live traffic", aboutTraffic, ok, bind(x.getTraffic)},
		{get, "/v1/system", "getSystem", tagSystem, operator("system:read"), "Look at the system", "", ok, bind(x.getSystem)},

		{post, "/v1/orgs/{org}/sessions", "createUserSession", tagSessions, operator("sessions:write"), "Sign a user of the app in", aboutSession, created, bind(x.createUserSession)},
		{get, "/v1/orgs/{org}/sessions", "listUserSessions", tagSessions, operator("sessions:read"), "List a user's sessions", "", ok, bind(x.listUserSessions)},
		{del, "/v1/orgs/{org}/sessions/{session}", "revokeUserSession", tagSessions, operator("sessions:write"), "End one session of a user", "", empty, bind(x.revokeUserSession)},
		{del, "/v1/orgs/{org}/sessions", "revokeUserSessions", tagSessions, operator("sessions:write"), "Sign a user of the app out everywhere", "", ok, bind(x.revokeUserSessions)},
	}
}
