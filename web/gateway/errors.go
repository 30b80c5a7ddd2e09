package gateway

import (
	"time"

	"gatehouse/app"
)

func errNoRoute() error {
	return &app.Error{Kind: app.KindNotFound, Code: "route_not_found", Message: "No route of this gateway takes this host, path and method.",
		Advice: "Check the address; the operator adds routes with `gatehouse route apply`."}
}

func errClosed() error {
	return &app.Error{Kind: app.KindNotFound, Code: "path_closed", Message: "This path is closed."}
}

func errAskedTwice() error {
	return &app.Error{Kind: app.KindInvalid, Code: "question_ambiguous", Message: "The headers name the request to authorize in two ways.",
		Advice: "Let the proxy set one of X-Forwarded-Method, -Host and -Uri or X-Original-Method, -Host and -Uri, and drop what the client sent of the other."}
}

func errCredentialTwice() error {
	return &app.Error{Kind: app.KindUnauthenticated, Code: "credential_twice", Message: "The request carries a credential's header more than once.",
		Advice: "Send `Authorization: Bearer KEY` once."}
}

func errNoUpstream() error {
	return &app.Error{Kind: app.KindUnavailable, Code: "upstream_missing", Message: "The upstream of this request is not there.",
		Advice: "Try again in a moment; the operator sees upstreams with `gatehouse route list`.", RetryAfter: time.Second}
}

func errNoCredential(rt *route, got presented) error {
	e := &app.Error{Kind: app.KindUnauthenticated, Code: "credential_missing", Message: "This route wants " + rt.modes.words() + ", and the request has none.",
		Advice: "Send `Authorization: Bearer KEY`."}
	if got.mode != "" {
		e.Code, e.Message = "credential_kind", "This route wants "+rt.modes.words()+", not a "+string(got.mode)+"."
	}
	return e
}

func errOperatorKey() error {
	return &app.Error{Kind: app.KindForbidden, Code: "operator_key", Message: "An operator's key manages Gatehouse; it does not pass the gateway.",
		Advice: "Use an API key of an organization."}
}

func errExpired(mode app.AuthMode) error {
	return &app.Error{Kind: app.KindUnauthenticated, Code: string(mode) + "_expired", Message: "The " + credentialWord(mode) + " has expired.",
		Advice: "Use the one that replaced it, or ask for a new one."}
}

func credentialWord(mode app.AuthMode) string {
	if mode == app.AuthJWT {
		return "token"
	}
	return "session"
}

func errTokenOrg() error {
	return &app.Error{Kind: app.KindForbidden, Code: "token_org_unknown", Message: "The token names an organization that does not exist here.",
		Advice: "Check the organization's id or slug at the issuer."}
}

func errUnsigned() error {
	return &app.Error{Kind: app.KindUnavailable, Code: "assertion_unavailable", Message: "The gate cannot sign who you are to the app.",
		Advice: "Try again in a moment.", RetryAfter: time.Second}
}

func errScopeMissing(scope string) error {
	return &app.Error{Kind: app.KindForbidden, Code: "scope_missing", Message: "The credential lacks the scope " + scope + ".",
		Advice: "Use a credential that has the scope " + scope + "."}
}

func errOrgStatus(org *app.Org) error {
	if org.Status == app.OrgStatusSuspended {
		return &app.Error{Kind: app.KindForbidden, Code: "org_suspended", Message: "The organization is suspended.",
			Advice: "Ask the operator; nothing was deleted."}
	}
	return &app.Error{Kind: app.KindForbidden, Code: "org_cancelled", Message: "The organization is cancelled.", Advice: "Ask the operator."}
}

func errInFlight(limit int64) error {
	return &app.Error{Kind: app.KindRateLimited, Code: "in_flight_limited", Message: "The organization has too many requests in flight.",
		Advice: "Wait for running requests to end, then retry.", RetryAfter: time.Second,
		Limit: &app.LimitDetail{Name: "in_flight", Scope: "organization", Limit: limit}}
}

func errSockets(scope string, limit int64) error {
	return &app.Error{Kind: app.KindRateLimited, Code: "websockets_limited", Message: "There are too many open WebSockets (" + scope + ").",
		Advice: "Close one, then retry.", RetryAfter: time.Second,
		Limit: &app.LimitDetail{Name: "websockets", Scope: scope, Limit: limit}}
}

func errBodyTooLarge(limit int64) error {
	return &app.Error{Kind: app.KindTooLarge, Code: "body_too_large", Message: "The request's body is larger than this route allows.",
		Advice: "Send less in one request.", Limit: &app.LimitDetail{Name: "body", Scope: "route", Limit: limit}}
}

func errMeterUnknown(name string) error {
	return &app.Error{Kind: app.KindInvalid, Code: "meter_unknown", Message: "There is no meter of this name.",
		Advice: "See which there are with `gatehouse meter list` or GET /v1/meters.", Fields: []app.FieldError{{Field: "meter", Message: "names no meter"}}}
}

func errEgressRoute() error {
	return &app.Error{Kind: app.KindInvalid, Code: "egress_route", Message: "Calls to a paid API cannot be asked about: what they cost is seen only by the gate that passes them on.",
		Advice: "Send the call itself through Gatehouse."}
}

func errEgressUpgrade() error {
	return &app.Error{Kind: app.KindInvalid, Code: "egress_upgrade", Message: "A call to a paid API cannot change the protocol (WebSocket): what it costs could not be counted.",
		Advice: "Use the vendor's HTTP API."}
}

func errEgressOrg() error {
	return &app.Error{Kind: app.KindInvalid, Code: "egress_org_missing", Message: "The call does not say which organization it is for.",
		Advice: "Send X-Gatehouse-Org once, with the organization's id or slug (and X-Gatehouse-Key at most once)."}
}

func errEgressKeyEnded() error {
	return &app.Error{Kind: app.KindForbidden, Code: "egress_key_ended", Message: "The key that X-Gatehouse-Key names has expired or was revoked.",
		Advice: "Leave the header out, or name a key that holds."}
}

func errPriceUnknown() error {
	return &app.Error{Kind: app.KindPayment, Code: "price_unknown", Message: "What this call costs is not known, so it cannot be held to a budget.",
		Advice: "Ask the operator to add a rate for the model, with `gatehouse rate apply` or POST /v1/rates."}
}

func errUnbounded() error {
	return &app.Error{Kind: app.KindPayment, Code: "call_unbounded", Message: "Nothing says how much this call may take at most, so it cannot be held to a budget.",
		Advice: "Set the call's maximum of output tokens, or ask the operator for the model's max_input and max_output in its rate."}
}

func errCredentialSealed() error {
	return &app.Error{Kind: app.KindUnavailable, Code: "credential_sealed", Message: "The gate cannot open its credential for the paid API.",
		Advice: "Ask the operator to write the upstream's credential anew.", RetryAfter: time.Minute}
}

func errSlowCall(err error) error {
	return &app.Error{Kind: app.KindTimeout, Code: "body_timeout", Message: "The body of the request did not arrive in time.",
		Advice: "Send it again, without pauses.", Err: err}
}

func errBrokenCall(err error) error {
	return &app.Error{Kind: app.KindInvalid, Code: "bad_request", Message: "The body of the request broke off.", Err: err}
}
