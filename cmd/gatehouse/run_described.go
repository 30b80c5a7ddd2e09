package main

import (
	"net/http"

	"gatehouse/web/api"
	"gatehouse/web/gateway"
)

// admissionCalls describes, for the OpenAPI document, the calls that share the
// gateway's admission.
func admissionCalls() []api.Described {
	return []api.Described{
		{Method: http.MethodPost, Path: "/v1/check", ID: "check", Tag: "Admission",
			Summary: "Ask whether a request may pass",
			About: "For an app that asks from its own code instead of standing behind the gateway. The answer is 200 " +
				"whichever way it goes; `allowed` tells. An allowed check takes from the limits and is counted like a " +
				"request, durably, before the answer. Wants an operator's key with the scope `check`.",
			Request: gateway.CheckRequest{}, Answer: gateway.CheckAnswer{}},
		{Method: http.MethodGet, Path: gateway.AuthorizePath, ID: "authorize", Tag: "Admission", Public: true,
			Summary: "Authorize a request that another proxy holds",
			About: "For nginx auth_request, Traefik forwardAuth, Caddy forward_auth and Envoy ext_authz. The caller's " +
				"credential comes in its own headers; the request asked about in X-Original-Method and X-Original-URI " +
				"(nginx), X-Forwarded-Method, -Host and -Uri (Traefik, Caddy), or below this path (Envoy). 200 means " +
				"pass; refusals are 401, 403 or 429. With `?refuse=403` each refusal but 401 becomes 403, and " +
				"X-Gatehouse-Status tells the real one: nginx understands no other.",
			AnswerHeaders: map[string]string{
				gateway.HeaderOrg: "The organization's id", gateway.HeaderOrgSlug: "Its slug", gateway.HeaderOrgPlan: "Its plan",
				gateway.HeaderKey: "The API key's id", gateway.HeaderActor: "Who calls, such as key:key_…",
				gateway.HeaderRequestID: "The request's id", gateway.HeaderAssertion: "The same, signed: a short-lived JWT",
			}},
	}
}
