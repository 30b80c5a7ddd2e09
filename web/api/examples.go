package api

// examples of the ground's fields (Schema.field, or *.field) and of whole
// bodies (Schema). The manual builds its curl lines and answers from them.
var examples = map[string]any{
	"*.created_at":   "2026-11-24T08:00:00Z",
	"*.updated_at":   "2026-11-24T08:00:00Z",
	"*.org_id":       "org_01kavq5m3n8r2t4w6y9b1d3f5h",
	"*.next":         "MTc2Mzk2NjgwMDAwMCBvcmdfMDFr",
	"*.request_id":   "req_7k2m9p4r6t8v1x3z5b7d9f2h",
	"Org.id":         "org_01kavq5m3n8r2t4w6y9b1d3f5h",
	"Org.slug":       "acme",
	"Org.name":       "Acme Robotics",
	"Org.status":     "active",
	"Org.plan":       "pro",
	"Key.id":         "key_01kavq5m3n8r2t4w6y9b1d3f5h",
	"Key.name":       "ci",
	"Key.hint":       "gk_live_7Qb2…x9Fd",
	"Key.scopes":     []any{"files:read"},
	"Key.cidrs":      []any{"203.0.113.0/24"},
	"Key.state":      "active",
	"Key.expires_at": "2027-11-24T08:00:00Z",
	"Key.created_by": "operator:key_01kavq5m3n8r2t4w6y9b1d3f5h",
	"MintedKey.key":  "gk_live_7Qb2mK4tVxR9wYc1ZpLd8sGhJnF3aE…",

	"RateLimit.name": "minute", "RateLimit.requests": 1000, "RateLimit.window": "1m",
	"Plan.slug": "pro", "Plan.name": "Pro", "Plan.price": "149", "Plan.in_flight": 50, "Plan.websockets": 100,
	"Quota.meter": "requests", "Quota.limit": 1000000, "Quota.period": "month", "Quota.overage": "0.0001",
	"Route.name": "files", "Route.path_prefix": "/files", "Route.upstream": "app", "Route.methods": []any{"GET"},
	"Route.hosts": []any{"api.example.com"}, "Route.auth": []any{"key"}, "Route.scopes": []any{"files:read"}, "Route.weight": 1,
	"Upstream.name": "app", "Upstream.addresses": []any{"http://127.0.0.1:3000"},

	"Meter.slug": "documents", "Meter.name": "Documents", "Meter.unit": "document", "Meter.aggregation": "sum",
	"Meter.event_type": "document.converted", "Meter.value": "pages", "Meter.dimensions": []any{"format"},
	"MeterSet": map[string]any{"meters": []any{map[string]any{"slug": "documents", "name": "Documents", "unit": "page",
		"aggregation": "sum", "event_type": "document.converted", "value": "pages", "dimensions": []any{"format"}}}},
	"Rate.model": "gpt-4o-mini*", "Rate.input": "0.15", "Rate.output": "0.6", "Rate.valid_from": "2026-01-01T00:00:00Z",
	"RateSet": map[string]any{"rates": []any{map[string]any{"model": "gpt-4o-mini*", "provider": "OpenAI", "input": "0.15",
		"output": "0.6", "cache_read": "0.075", "valid_from": "2026-01-01T00:00:00Z"}}},
	"Reservation.id": "rsv_01kavq5m3n8r2t4w6y9b1d3f5h", "Reservation.meter": "agent_minutes", "Reservation.amount": 30,
	"Reservation.state": "open", "Reservation.expires_at": "2026-11-24T08:02:00Z",

	"BillingCustomer.provider": "stripe", "BillingCustomer.customer": "cus_NciAYcXfLnqBoz",
	"MeterEvent.identifier": "gh_4711_org_01kavq5m3n8r2t4w6y9b1d3f5h_pages_1995024", "MeterEvent.meter": "pages",
	"MeterEvent.event_name": "pages", "MeterEvent.value": 12, "MeterEvent.state": "parked", "MeterEvent.attempts": 1,
	"MeterEvent.at": "2026-11-24T07:59:00Z", "MeterEvent.reason": "No meter with this event_name.",

	"Applied.created": []any{"files"}, "Applied.updated": []any{"app"},
	"LimitDetail.name": "minute", "LimitDetail.scope": "organization", "LimitDetail.limit": 1000, "LimitDetail.window_seconds": 60,
	"SystemCheck.name": "store", "SystemCheck.ok": true,
	"SystemInfo.version": "0.1.0", "SystemInfo.engine": "SQLite", "SystemInfo.started_at": "2026-11-24T07:00:00Z",
	"UsageReport.since": "2026-11-24T00:00:00Z", "UsageReport.until": "2026-11-25T00:00:00Z",

	"UsageRow.start": "2026-11-24T00:00:00Z", "UsageRow.requests": 1200, "UsageRow.weight": 1200, "UsageRow.status_2xx": 1180,
	"UsageRow.status_4xx": 18, "UsageRow.status_5xx": 2, "UsageRow.bytes_in": 48200, "UsageRow.bytes_out": 5120000,
	"UsageRow.duration_ns": 54000000000,

	"PlanSet": map[string]any{"plans": []any{map[string]any{"slug": "pro", "name": "Pro", "price": "149",
		"rate_limits": []any{map[string]any{"name": "minute", "requests": 1000, "window": "1m"}}}}},
	"Plan": map[string]any{"slug": "pro", "name": "Pro", "price": "149", "in_flight": 50,
		"rate_limits": []any{map[string]any{"name": "minute", "requests": 1000, "window": "1m"}}},
	"RoutingSet": map[string]any{
		"upstreams": []any{map[string]any{"name": "app", "addresses": []any{"http://127.0.0.1:3000"}}},
		"routes":    []any{map[string]any{"name": "files", "path_prefix": "/files", "upstream": "app", "scopes": []any{"files:read"}}}},
}
