package main

import (
	"net/http"

	"gatehouse/web/api"
	"gatehouse/web/gateway"
)

// describedCalls are the calls that the gateway serves and the API's document
// describes.
func describedCalls() []api.Described {
	return []api.Described{
		{Method: http.MethodPost, Path: "/v1/check", ID: "check", Tag: api.TagDecisions,
			Summary: "Decide about a request from the app's own code",
			About: "On the gateway's address. Operator's key with the scope `check`.\n\n" +
				"The answer is 200 whichever the decision is. An allowed check takes its units from the limits and is counted before it is answered.",
			Request: gateway.CheckRequest{}, Answer: gateway.CheckAnswer{}},
		{Method: http.MethodGet, Path: gateway.AuthorizePath, ID: "authorize", Tag: api.TagDecisions, Public: true,
			Summary: "Decide about a request that another proxy holds",
			About: "On the gateway's address, for nginx auth_request, Traefik, Caddy and Envoy. " +
				"The request is described by `X-Forwarded-Method`, `X-Forwarded-Host` and `X-Forwarded-Uri`, and carries the caller's own credential. " +
				"`?refuse=403` answers every refusal but 401 with 403, for nginx.",
			AnswerHeaders: identityHeaders()},
	}
}

// identityHeaders are what the answer hands to the app.
func identityHeaders() map[string]string {
	return map[string]string{
		gateway.HeaderOrg: "The organization's id", gateway.HeaderOrgSlug: "Its slug", gateway.HeaderOrgPlan: "Its plan's slug",
		gateway.HeaderKey: "The key's id", gateway.HeaderActor: "Who calls", gateway.HeaderRequestID: "Names the request",
		gateway.HeaderAssertion: "All of it as a signed JWT",
	}
}
