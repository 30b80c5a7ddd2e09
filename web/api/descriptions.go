package api

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// finish completes the document with what huma does not do by itself.
func finish(document *huma.OpenAPI) {
	schemas := document.Components.Schemas.Map()
	for name, schema := range schemas {
		if example, ok := lookUp(examples, name, ""); ok {
			schema.Examples = []any{example}
		}
		for field, property := range schema.Properties {
			finishProperty(name, field, property)
		}
	}
	asked := map[string]bool{}
	for _, path := range document.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Post, path.Put, path.Patch, path.Delete} {
			if op != nil {
				finishOperation(op)
				mark(asked, schemas, bodySchema(op))
			}
		}
	}
	for name, schema := range schemas {
		if !asked[name] {
			schema.AdditionalProperties = nil // an answer may gain fields; a request may not hold unknown ones
		}
	}
}

func finishProperty(schema, field string, property *huma.Schema) {
	if text, ok := lookUp(descriptions, schema, field); ok && property.Description == "" {
		property.Description = text
	}
	if example, ok := lookUp(examples, schema, field); ok && len(property.Examples) == 0 {
		property.Examples = []any{example}
	}
}

func bodySchema(op *huma.Operation) *huma.Schema {
	if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil {
		return nil
	}
	return op.RequestBody.Content["application/json"].Schema
}

// mark notes the schemas that a schema reaches.
func mark(reached map[string]bool, schemas map[string]*huma.Schema, s *huma.Schema) {
	if s == nil {
		return
	}
	if name := strings.TrimPrefix(s.Ref, "#/components/schemas/"); s.Ref != "" && !reached[name] {
		reached[name] = true
		mark(reached, schemas, schemas[name])
	}
	mark(reached, schemas, s.Items)
	for _, property := range s.Properties {
		mark(reached, schemas, property)
	}
}

func finishOperation(op *huma.Operation) {
	if problem := op.Responses["default"]; problem != nil {
		problem.Description = aboutProblems
	}
	delete(op.Responses, "422") // huma's; our own errors are all in default
	delete(op.Responses, "500")
}

// sameAs are schemas that hold another's fields.
var sameAs = map[string]string{"MintedKey": "Key", "ListOrg": "List", "ListKey": "List",
	"ListReservation": "List", "ListQuotaNotice": "List", "ListBillingCustomer": "List", "ListMeterEvent": "List",
	"ItemsMeter": "List", "ItemsRate": "List", "ItemsQuotaState": "List", "QuotaState": "Quota", "QuotaOverride": "Quota", "ItemsPlan": "List", "ItemsUserSession": "List", "ItemsRoute": "List", "ItemsUpstream": "List"}

// lookUp finds what a table says of a schema's field, or with an empty field
// of the schema itself.
func lookUp[T any](table map[string]T, schema, field string) (found T, ok bool) {
	if field == "" {
		found, ok = table[schema]
		return found, ok
	}
	for _, name := range []string{schema, sameAs[schema], "*"} {
		if found, ok = table[name+"."+field]; ok {
			return found, true
		}
	}
	return found, false
}

// descriptions of the ground's fields, which know nothing of this document.
var descriptions = map[string]string{
	"*.created_at": "When it was created",
	"*.updated_at": "When it was changed last",
	"*.name":       "Its name",
	"*.org_id":     "The organization",
	"List.items":   "The items, newest first where the list has pages",
	"List.next":    "Cursor of the next page; absent on the last",

	"Org.id":       "Stable id: org_…",
	"Org.slug":     "Unique, 1–63 of a-z 0-9 -",
	"Org.name":     "Shown to people",
	"Org.status":   "active, suspended (by the operator: 403 org_suspended) or cancelled (by the customer: 403 org_cancelled)",
	"Org.reason":   "Why it is suspended, for the operator's eyes",
	"Org.plan":     "Slug of its plan",
	"Org.upstream": "Name of its own upstream, if it has one",

	"Key.id":           "Stable id: key_…",
	"Key.org_id":       "The organization; absent on an operator's key",
	"Key.name":         "For people",
	"Key.hint":         "Begin and end of the secret, to recognize it by",
	"Key.scopes":       "What it may do",
	"Key.cidrs":        "Addresses that it may be used from; none is any",
	"Key.rate_limits":  "Its own limits, beside those of the plan and the route",
	"Key.expires_at":   "When it ends; absent when it does not",
	"Key.revoked_at":   "When it was revoked",
	"Key.rotated_to":   "Id of the key that replaces it",
	"Key.last_used_at": "When it was used last, to within seconds",
	"Key.created_by":   "Who created it",

	"RateLimit.name":     "Unique beside its neighbours; stands in the RateLimit headers",
	"RateLimit.requests": "Units allowed per window; a request takes its route's weight",
	"RateLimit.window":   "The window, refilled evenly: 1s–366d",
	"RateLimit.burst":    "Units allowed at once; requests by default",
	"RateLimit.mode":     "enforce (the default), or dry_run: only report what would be refused",
	"RateLimit.on_loss":  "What happens while Redis is away: open (pass) or closed (503); the installation's choice by default",

	"Plan.slug":        "Unique, 1–63 of a-z 0-9 -",
	"Plan.name":        "Shown to people",
	"Plan.price":       "US dollars a month; absent means as agreed",
	"Plan.rate_limits": "Held all at once, per organization",
	"Plan.quotas":      "What the plan grants per period, of any meter; of cost in micros of a dollar",
	"Plan.time_zone":   "In which months and days of quotas begin, such as Asia/Kolkata; UTC by default",
	"Plan.in_flight":   "Requests at once per organization; 0 is unlimited",
	"Plan.websockets":  "WebSocket connections at once per organization; 0 is unlimited",
	"Plan.tasks":       "Tasks at once. Kept and shown; not enforced yet",
	"Plan.members":     "People. Kept and shown; not enforced yet",
	"Plan.promise":     "The availability promised, as text",
	"Plan.trial_days":  "Days of trial. Kept and shown; not enforced yet",

	"Route.id":              "Stable id: rte_…; set by Gatehouse",
	"Route.name":            "Unique label of a-z 0-9 - _",
	"Route.hosts":           "Such as api.example.com or *.example.com; none is any",
	"Route.path_prefix":     "Begins with /; matches whole segments; the longest wins",
	"Route.methods":         "Such as GET; none is any",
	"Route.upstream":        "Name of the upstream",
	"Route.shared_upstream": "Send even organizations with an upstream of their own to this route's",
	"Route.strip_prefix":    "Taken off the path before it goes to the app",
	"Route.add_prefix":      "Put before the path that goes to the app",
	"Route.headers":         "Request headers towards the app; values may hold ${org.id}, ${org.slug}, ${org.plan}, ${key.id}, ${actor}, ${request.id}",
	"Route.query":           "Query parameters towards the app, with the same values",
	"Route.closed":          "Path prefixes that answer 404 path_closed",
	"Route.auth":            "Ways to identify: key (the default), jwt, session; optional beside them; or none",
	"Route.scopes":          "All required of the caller",
	"Route.rate_limits":     "Of this route, per organization",
	"Route.weight":          "Units that a request takes; 1 by default",
	"Route.meters":          "What is counted: requests, bytes, duration (the default); none counts nothing",
	"Route.body_limit":      "Longest request body in bytes; 100 MiB by default",
	"Route.timeout":         "How long the app may take until its answer's headers; 60s by default",
	"Edits.set":             "Names and their values",
	"Edits.remove":          "Names to take out",

	"Upstream.id":                   "Stable id: ups_…; set by Gatehouse",
	"Upstream.name":                 "Unique label of a-z 0-9 - _",
	"Upstream.addresses":            "One or more, such as http://127.0.0.1:3000; the one with the fewest open requests is taken",
	"Upstream.protocol":             "auto (HTTP/1.1, or HTTP/2 where TLS offers it), http1, h2 or h2c",
	"Upstream.host_header":          "Host sent to the app; the client's by default",
	"Upstream.health":               "Active health check; without it an address is left out only after failures",
	"Upstream.connect_timeout":      "How long connecting may take",
	"Upstream.max_connections":      "Per address; 0 is unlimited",
	"Upstream.insecure_skip_verify": "Accept any certificate: for tests only",
	"HealthCheck.path":              "Such as /healthz; 2xx and 3xx are well",
	"HealthCheck.interval":          "5s by default",
	"HealthCheck.timeout":           "2s by default",
	"HealthCheck.unhealthy":         "Failures in a row until an address is left out; 3 by default",
	"HealthCheck.healthy":           "Successes in a row until it is back; 2 by default",

	"Route.cost":             "What a request costs the operator; drawn from budgets",
	"Route.egress":           "Marks a route on which the app calls a paid API for an organization",
	"Egress.api":             "Language of the paid API: openai, anthropic or http (any other; it costs the route's cost)",
	"Egress.clamp":           "Lower the wanted output to what budgets cover, where they cover some",
	"Egress.max_output":      "Tokens to reserve where neither the call nor the price list says",
	"Upstream.credential":    "The operator's secret for a paid API, put into each request in place of the caller's",
	"Upstream.allow_private": "With a credential: also send it to private and loopback addresses, and without TLS",
	"Credential.header":      "Header that takes it, such as x-api-key",
	"Credential.prefix":      "What stands before the secret, such as \"Bearer \"",
	"Credential.secret":      "The secret: written, never shown. Left out it stays as it is",
	"Credential.hint":        "Its last four characters",

	"Applied.created":          "What did not exist before",
	"Applied.updated":          "What was replaced",
	"Applied.unchanged":        "What was as wanted",
	"Applied.removed":          "What prune deleted",
	"RoutingApplied.upstreams": "What happened to upstreams",
	"RoutingApplied.routes":    "What happened to routes",

	"UsageRow.start":       "Begin of the row",
	"UsageRow.group":       "Id of the key, route or organization that the row is about",
	"UsageRow.requests":    "Requests that passed the gate",
	"UsageRow.weight":      "Units: the sum of the routes' weights",
	"UsageRow.status_2xx":  "Answered 2xx (1xx too: a connection switched to WebSocket)",
	"UsageRow.status_3xx":  "Answered 3xx",
	"UsageRow.status_4xx":  "Answered 4xx by the app",
	"UsageRow.status_5xx":  "Answered 5xx",
	"UsageRow.unknown":     "Counted, but how it ended is not known, or the client left before an answer",
	"UsageRow.bytes_in":    "Bytes of request bodies",
	"UsageRow.bytes_out":   "Bytes of answers",
	"UsageRow.duration_ns": "Summed duration in nanoseconds",

	"Snapshot.at":                  "When it was made",
	"Snapshot.range":               "How far it looks back",
	"Snapshot.step_ns":             "Length of a point in nanoseconds",
	"Snapshot.requests_per_second": "Over the last 10 whole seconds, on this node",
	"Snapshot.allowed":             "Forwarded, and answered below 500",
	"Snapshot.refused":             "Stopped by the gate",
	"Snapshot.failed":              "Forwarded, and failed: 5xx or no answer",
	"Snapshot.p50_ns":              "Median duration of requests that passed",
	"Snapshot.p95_ns":              "95th percentile",
	"Snapshot.p99_ns":              "99th percentile",
	"Snapshot.own_p50_ns":          "Median of the gate's own share",
	"Snapshot.points":              "The range step by step",
	"Snapshot.refusals":            "Refusals by reason, most first",
	"Snapshot.orgs":                "The busiest organizations, busiest first",
	"Point.start":                  "Begin of the step",
	"Point.allowed":                "Forwarded, and answered below 500",
	"Point.refused":                "Stopped by the gate",
	"Point.failed":                 "Forwarded, and failed",
	"Refusal.code":                 "The reason",
	"Refusal.count":                "How often",
	"OrgTraffic.org_id":            "The organization",
	"OrgTraffic.allowed":           "Forwarded, and answered below 500",
	"OrgTraffic.refused":           "Stopped by the gate",
	"OrgTraffic.failed":            "Forwarded, and failed",
	"OrgTraffic.p95_ns":            "95th percentile of the duration; 0 when it is not known for this range",
	"OrgTraffic.spark":             "Requests that passed, in 30 even steps",

	"LimitDetail.name":                "The limit's name",
	"LimitDetail.scope":               "address, key, organization or route",
	"LimitDetail.limit":               "Units allowed per window",
	"LimitDetail.remaining":           "Units left now",
	"LimitDetail.window_seconds":      "Length of the window",
	"LimitDetail.resets_at":           "When the limit is full again",
	"CheckAnswer.allowed":             "Whether the request may pass",
	"CheckAnswer.retry_after_seconds": "When to ask again, if that helps",
	"CheckAnswer.org_id":              "The caller's organization",
	"CheckAnswer.org_slug":            "Its slug",
	"CheckAnswer.org_plan":            "Its plan's slug",
	"CheckAnswer.key_id":              "The caller's key",
	"CheckAnswer.actor":               "Who calls, such as key:key_…",
	"CheckAnswer.scopes":              "What the credential may do",
	"CheckAnswer.limits":              "What is left of each rate limit",
	"CheckAnswer.request_id":          "Names this request in the logs",
	"CheckLimit.name":                 "The limit's name",
	"CheckLimit.limit":                "Units allowed per window",
	"CheckLimit.window_seconds":       "Length of the window",
	"CheckLimit.remaining":            "Units left now",
	"CheckLimit.reset_seconds":        "Until it is full again",

	"Meter.slug":         "Unique label of a-z 0-9 - _",
	"Meter.unit":         "Of one, such as document",
	"Meter.aggregation":  "count, sum, unique, max or latest",
	"Meter.event_type":   "Type of the events that it reads",
	"Meter.value":        "Property of the event's data that holds the value; a count has none",
	"Meter.dimensions":   "Properties of the event's data that usage can be grouped by",
	"Meter.built_in":     "Counted by Gatehouse itself; cannot be changed or deleted",
	"MeterRow.start":     "Begin of the row",
	"MeterRow.group":     "What the row is about, by the names that were asked for",
	"MeterRow.value":     "As the meter's aggregation makes it",
	"MeterRow.estimated": "How many of the uses in it are estimates",

	"Quota.meter":              "What is counted; cost is money in micros of a US dollar",
	"Quota.limit":              "Units per period; of cost micros",
	"Quota.period":             "minute, hour, day, month, billing_period or lifetime",
	"Quota.mode":               "hard (the default without overage): nothing passes the limit; or soft: everything passes, and notices tell",
	"Quota.grace":              "Per cent beyond the limit that a hard quota lets pass",
	"Quota.overage":            "Price of a unit beyond; a quota with one is soft",
	"Quota.thresholds":         "Per cent at which a notice is given; 80, 90, 100 and 200 by default",
	"QuotaState.key_id":        "The key whose quota it is; absent: the organization's",
	"QuotaState.hard":          "Whether it stops at its ceiling",
	"QuotaState.ceiling":       "The limit with its grace",
	"QuotaState.used":          "Used in the period",
	"QuotaState.reserved":      "Reserved by what runs",
	"QuotaState.left":          "What is left: of a hard quota to its ceiling, of a soft one to its limit",
	"QuotaState.period_start":  "Begin of the period; absent on a lifetime",
	"QuotaState.resets_at":     "When the next period begins; absent on a lifetime",
	"QuotaState.exhausted_at":  "Forecast of when the limit is reached; absent when it is not in this period",
	"QuotaOverride.key_id":     "The key whose quota it is; absent: the organization's",
	"QuotaOverride.unlimited":  "There is no such quota, whatever the plan says",
	"QuotaOverride.reason":     "Why, for the operator's eyes",
	"QuotaOverride.updated_by": "Who set it",
	"QuotaDetail.meter":        "The meter",
	"QuotaDetail.scope":        "organization or key",
	"QuotaDetail.period":       "The quota's period",
	"QuotaDetail.limit":        "What is granted; of cost micros",
	"QuotaDetail.used":         "Used in the period",
	"QuotaDetail.reserved":     "Reserved by what runs",
	"QuotaDetail.wanted":       "What the refused request might have taken",
	"QuotaDetail.resets_at":    "When the next period begins; absent: never",
	"QuotaDetail.upgrade_url":  "Where there is more to get",
	"QuotaNotice.id":           "Stable id",
	"QuotaNotice.key_id":       "The key whose quota it is; absent: the organization's",
	"QuotaNotice.meter":        "The meter",
	"QuotaNotice.period":       "The quota's period",
	"QuotaNotice.period_start": "Begin of the period",
	"QuotaNotice.threshold":    "Per cent that was passed",
	"QuotaNotice.limit":        "The limit then",
	"QuotaNotice.used":         "What was used then",
	"QuotaNotice.at":           "When it was noticed",

	"Reservation.id":         "Stable id: rsv_…",
	"Reservation.key_id":     "The key whose quotas count too",
	"Reservation.meter":      "What is reserved",
	"Reservation.amount":     "How much",
	"Reservation.used":       "What was used, as the app told last",
	"Reservation.state":      "open, settled, released, or expired (its app fell silent)",
	"Reservation.estimated":  "It expired: used is what was known",
	"Reservation.expires_at": "When it expires without a sign of life",
	"Reservation.ended_at":   "When it ended",

	"BillingCustomer.provider": "stripe",
	"BillingCustomer.customer": "The organization's id there: cus_…",
	"StripeStatus.cursor":      "The ledger's step up to which usage is in the outbox",
	"StripeStatus.due":         "To be sent, or sent without an answer",
	"StripeStatus.waiting":     "Of organizations that have no customer yet",
	"StripeStatus.delivered":   "Stripe has it: those of the last 35 days",
	"StripeStatus.parked":      "Refused: somebody must look",
	"StripeStatus.troubles":    "The newest that are parked or wait",
	"MeterEvent.identifier":    "Its name, which Stripe takes once",
	"MeterEvent.meter":         "What was used",
	"MeterEvent.event_name":    "Of the meter at Stripe",
	"MeterEvent.value":         "How much",
	"MeterEvent.at":            "The latest usage in it",
	"MeterEvent.state":         "due, waiting, delivered or parked",
	"MeterEvent.attempts":      "How often it was sent",
	"MeterEvent.next_at":       "When it is sent next, while it is due",
	"MeterEvent.unsure_at":     "The first time that no answer came; absent when there always was one",
	"MeterEvent.reason":        "Why it was refused last",

	"Rate.model":            "As the API names it; a trailing * matches any rest",
	"Rate.provider":         "For people",
	"Rate.input":            "US dollars for a million tokens read",
	"Rate.output":           "US dollars for a million tokens written",
	"Rate.cache_read":       "US dollars for a million tokens read from the cache; as input by default",
	"Rate.cache_write":      "US dollars for a million tokens written to the cache; as input by default",
	"Rate.cache_write_long": "US dollars for a million tokens written to the cache for longer than the vendor's shortest time; not known by default",
	"Rate.search":           "US dollars for one search of the web that the vendor runs; not known by default",
	"Rate.variants":         "Other prices, where they hold",

	"RateVariant.tier":               "Tier of service, as the vendor's answer names it, such as flex; absent: the standard one",
	"RateVariant.region":             "As the vendor's answer names it, such as us; absent: anywhere",
	"RateVariant.above_input_tokens": "For prompts of more tokens than that, cached ones included",
	"RateVariant.input":              "US dollars for a million tokens read",
	"RateVariant.output":             "US dollars for a million tokens written",
	"RateVariant.cache_read":         "US dollars for a million tokens read from the cache; as input by default",
	"RateVariant.cache_write":        "US dollars for a million tokens written to the cache; as input by default",
	"RateVariant.cache_write_long":   "The same for longer than the vendor's shortest time; not known by default",

	"Rate.max_input":  "Tokens that the model reads at most",
	"Rate.max_output": "Tokens that the model writes at most",
	"Rate.valid_from": "From when on it holds; a later rate of the same model replaces it",

	"Fault.replica":          "The process whose chain it is about",
	"Fault.seq":              "The block; absent when it is not about one",
	"Fault.code":             "Stable name of the contradiction",
	"Fault.text":             "What contradicts what",
	"EventsAnswer.accepted":  "Counted",
	"EventsAnswer.duplicate": "Counted before",
	"EventsAnswer.conflict":  "Not counted: the id is another's",
	"EventsAnswer.too_old":   "Not counted: older than 35 days",
	"EventsAnswer.rejected":  "Not counted: malformed",
	"Adjustment.key_id":      "A key of it",
	"Adjustment.route_id":    "The route",
	"Adjustment.meter":       "The meter",
	"Adjustment.at":          "When it counts",
	"Adjustment.value":       "What was added",
	"Adjustment.reason":      "Why",

	"FieldError.field":   "JSON path, such as rate_limits[0].window",
	"FieldError.message": "What is wrong and what is allowed",
}
