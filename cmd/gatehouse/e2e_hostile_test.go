package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// hostileBodies are no good body of any call.
var hostileBodies = []struct {
	name, media, body string
	status            int
}{
	{"nothing", "application/json", "", 400},
	{"a form", "application/x-www-form-urlencoded", "a=b", 415},
	{"XML", "application/xml", "<a/>", 415},
	{"a broken media type", "application/", "{}", 415},
	{"no JSON", "application/json", "nothing", 400},
	{"half of it", "application/json", `{"`, 400},
	{"two documents", "application/json", "{}{}", 400},
	{"null", "application/json", "null", 400},
	{"a text", "application/json", `"text"`, 400},
	{"a number too large for any", "application/json", "1e999999", 400},
	{"a field that nobody knows", "application/json", `{"nobody_knows":1}`, 400},
	{"deep arrays", "application/json", strings.Repeat("[", 100_000), 400},
	{"deep objects", "application/json", strings.Repeat(`{"a":`, 100_000), 400},
	{"deep, and ended", "application/json", strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000), 400},
	{"bytes that are no text", "application/json", "{\"\xff\xfe\":\"\xff\"}", 400},
	{"NUL", "application/json", "{\"\x00\":1}", 400},
	{"10 MB and one byte", "application/json", `{"a":"` + strings.Repeat("a", 10<<20) + `"}`, 413},
}

// hostileCalls are calls with a body that is nearly right.
var hostileCalls = []struct {
	name, line, body string
	status           int
}{
	{"a limit beyond int64", "PUT /v1/orgs/ORG/quotas/agent_minutes/month", `{"limit":99999999999999999999}`, 400},
	{"a limit that overflows with its grace", "PUT /v1/orgs/ORG/quotas/agent_minutes/month", `{"limit":9223372036854775807,"grace":100}`, 400},
	{"a fraction", "PUT /v1/orgs/ORG/quotas/agent_minutes/month", `{"limit":1.5}`, 400},
	{"a limit as a float", "PUT /v1/orgs/ORG/quotas/agent_minutes/month", `{"limit":1e300}`, 400},
	{"a negative limit", "PUT /v1/orgs/ORG/quotas/agent_minutes/month", `{"limit":-1}`, 400},
	{"a negative grace", "PUT /v1/orgs/ORG/quotas/agent_minutes/month", `{"limit":1,"grace":-1}`, 400},
	{"a negative price", "PUT /v1/orgs/ORG/quotas/agent_minutes/month", `{"limit":1,"overage":"-1"}`, 400},
	{"thresholds that fall", "PUT /v1/orgs/ORG/quotas/agent_minutes/month", `{"limit":1,"thresholds":[90,80]}`, 400},
	{"NUL in a reason", "PUT /v1/orgs/ORG/quotas/agent_minutes/month", `{"limit":1,"reason":"a\u0000b"}`, 400},
	{"a reason that is no text", "PUT /v1/orgs/ORG/quotas/agent_minutes/month", "{\"limit\":1,\"reason\":\"\xff\"}", 400},
	{"NUL in a path", "PUT /v1/orgs/ORG/quotas/agent%00minutes/month", `{"limit":1}`, 400},
	{"no text in a path", "PUT /v1/orgs/%ff/quotas/agent_minutes/month", `{"limit":1}`, 404},
	{"a key that is no text", "PUT /v1/orgs/ORG/quotas/agent_minutes/month?key=%00%ff", `{"limit":1}`, 404},
	{"a meter that takes the largest", "PUT /v1/orgs/ORG/quotas/peak/month", `{"limit":1}`, 400},
	{"a plan of such a meter", "PUT /v1/plans/hostile", `{"slug":"hostile","name":"H","quotas":[{"meter":"peak","limit":1,"period":"month"}]}`, 400},
	{"a plan of no meter", "POST /v1/plans/apply", `{"plans":[{"slug":"fine","name":"F"},{"slug":"hostile","name":"H","quotas":[{"meter":"no","limit":1,"period":"month"}]}]}`, 400},
	{"a plan in another time zone", "PUT /v1/plans/hostile", `{"slug":"hostile","name":"H","time_zone":"../../etc/passwd"}`, 400},
	{"a plan in the machine's time zone", "PUT /v1/plans/hostile", `{"slug":"hostile","name":"H","time_zone":"Mars/Base\u0000"}`, 400},

	{"a negative amount", "POST /v1/reservations", `{"org":"ORG","meter":"agent_minutes","amount":-1}`, 400},
	{"nothing", "POST /v1/reservations", `{"org":"ORG","meter":"agent_minutes","amount":0}`, 400},
	{"an amount beyond int64", "POST /v1/reservations", `{"org":"ORG","meter":"agent_minutes","amount":9223372036854775808}`, 400},
	{"an amount near int64", "POST /v1/reservations", `{"org":"ORG","meter":"agent_minutes","amount":9223372036854775807}`, 400},
	{"a life that is too long", "POST /v1/reservations", `{"org":"ORG","meter":"agent_minutes","amount":1,"life":"99999h"}`, 400},
	{"a life that overflows", "POST /v1/reservations", `{"org":"ORG","meter":"agent_minutes","amount":1,"life":"99999999999h"}`, 400},
	{"a negative life", "POST /v1/reservations", `{"org":"ORG","meter":"agent_minutes","amount":1,"life":"-5m"}`, 400},
	{"NUL in a dimension", "POST /v1/reservations", `{"org":"ORG","meter":"agent_minutes","amount":1,"dimensions":{"a":"\u0000"}}`, 400},
	{"NUL in a dimension's name", "POST /v1/reservations", `{"org":"ORG","meter":"agent_minutes","amount":1,"dimensions":{"\u0000":"a"}}`, 400},
	{"a dimension that is no text", "POST /v1/reservations", "{\"org\":\"ORG\",\"meter\":\"agent_minutes\",\"amount\":1,\"dimensions\":{\"a\":\"\xff\"}}", 400},
	{"dimensions without end", "POST /v1/reservations", `{"org":"ORG","meter":"agent_minutes","amount":1,"dimensions":{` + manyFields(5000) + `}}`, 400},
	{"NUL as a meter", "POST /v1/reservations", `{"org":"ORG","meter":"\u0000","amount":1}`, 400},
	{"NUL as an organization", "POST /v1/reservations", `{"org":"\u0000","meter":"agent_minutes","amount":1}`, 400},
	{"a reservation of NUL", "POST /v1/reservations/%00/settle", `{"used":1}`, 404},
	{"a reservation that is no text", "POST /v1/reservations/%ff/settle", `{"used":1}`, 404},
	{"a negative use", "POST /v1/reservations/RSV/settle", `{"used":-1}`, 400},
	{"a use beyond int64", "POST /v1/reservations/RSV/settle", `{"used":99999999999999999999}`, 400},
	{"a use near int64", "POST /v1/reservations/RSV/settle", `{"used":9223372036854775807}`, 400},
	{"a use that shrinks", "POST /v1/reservations/RSV/extend", `{"used":-5}`, 400},
	{"more that is less", "POST /v1/reservations/RSV/extend", `{"more":-5}`, 400},
	{"more than there is", "POST /v1/reservations/RSV/extend", `{"more":9223372036854775807}`, 400},
	{"a use near int64 so far", "POST /v1/reservations/RSV/extend", `{"used":9223372036854775807}`, 400},

	{"a price beyond all", "POST /v1/rates/apply", `{"rates":[{"model":"m","input":"99999999999999999999","output":"1","valid_from":"2026-01-01T00:00:00Z"}]}`, 400},
	{"a price that fits in no micros", "POST /v1/rates/apply", `{"rates":[{"model":"m","input":"999999999999","output":"999999999999","valid_from":"2026-01-01T00:00:00Z"}]}`, 400},
	{"a negative price of tokens", "POST /v1/rates/apply", `{"rates":[{"model":"m","input":"-1","output":"1","valid_from":"2026-01-01T00:00:00Z"}]}`, 400},
	{"a year that overflows", "POST /v1/rates/apply", `{"rates":[{"model":"m","input":"1","output":"1","valid_from":"99999-01-01T00:00:00Z"}]}`, 400},
	{"NUL in a model", "POST /v1/rates/apply", `{"rates":[{"model":"m\u0000","input":"1","output":"1","valid_from":"2026-01-01T00:00:00Z"}]}`, 400},
	{"one good rate and a bad one", "POST /v1/rates/apply", `{"rates":[{"model":"good","input":"1","output":"1","valid_from":"2026-01-01T00:00:00Z"},{"model":"","input":"1","output":"1","valid_from":"2026-01-01T00:00:00Z"}]}`, 400},

	{"one good meter and a bad one", "POST /v1/meters/apply", `{"meters":[{"slug":"good","name":"G","aggregation":"count","event_type":"t"},{"slug":"bad","name":"B","aggregation":"median","event_type":"t"}]}`, 400},
	{"NUL in a meter's name", "POST /v1/meters/apply", `{"meters":[{"slug":"good","name":"G\u0000","aggregation":"count","event_type":"t"}]}`, 400},
	{"NUL in an event's type", "POST /v1/meters/apply", `{"meters":[{"slug":"good","name":"G","aggregation":"count","event_type":"t\u0000"}]}`, 400},
	{"NUL in a unit", "POST /v1/meters/apply", `{"meters":[{"slug":"good","name":"G","unit":"\u0000","aggregation":"count","event_type":"t"}]}`, 400},
	{"a built-in meter", "POST /v1/meters/apply", `{"meters":[{"slug":"cost","name":"C","aggregation":"count","event_type":"t"}]}`, 400},

	{"no reason", "POST /v1/usage/adjustments", `{"org":"ORG","meter":"pages","value":1,"reason":""}`, 400},
	{"NUL as a reason", "POST /v1/usage/adjustments", `{"org":"ORG","meter":"pages","value":1,"reason":"\u0000"}`, 400},
	{"a value beyond int64", "POST /v1/usage/adjustments", `{"org":"ORG","meter":"pages","value":-9223372036854775809,"reason":"r"}`, 400},
	{"the smallest value", "POST /v1/usage/adjustments", `{"org":"ORG","meter":"pages","value":-9223372036854775808,"reason":"r"}`, 400},
	{"a date that overflows", "POST /v1/usage/adjustments", `{"org":"ORG","meter":"pages","value":1,"reason":"r","at":"9999-12-31T23:59:59Z"}`, 400},
	{"a date before all", "POST /v1/usage/adjustments", `{"org":"ORG","meter":"pages","value":1,"reason":"r","at":"0000-01-01T00:00:00Z"}`, 400},
	{"a date without a month", "POST /v1/usage/adjustments", `{"org":"ORG","meter":"pages","value":1,"reason":"r","at":"2026-13-01T00:00:00Z"}`, 400},
	{"a meter that takes the largest", "POST /v1/usage/adjustments", `{"org":"ORG","meter":"peak","value":1,"reason":"r"}`, 400},
	{"NUL as a route", "POST /v1/usage/adjustments", `{"org":"ORG","meter":"pages","value":1,"reason":"r","route_id":"\u0000"}`, 400},
	{"a route that is no text", "POST /v1/usage/adjustments", "{\"org\":\"ORG\",\"meter\":\"pages\",\"value\":1,\"reason\":\"r\",\"route_id\":\"\xff\"}", 400},
	{"a route of another world", "POST /v1/usage/adjustments", `{"org":"ORG","meter":"pages","value":1,"reason":"r","key_id":"key_x"}`, 404},

	{"an event of a date that overflows", "POST /v1/events", `{"id":"h1","type":"document.created","org":"ORG","time":"99999-01-01T00:00:00Z","data":{"pages":1}}`, 400},
	{"an event of the far future", "POST /v1/events", `{"id":"h2","type":"document.created","org":"ORG","time":"9999-01-01T00:00:00Z","data":{"pages":1}}`, 400},
	{"an import of the far future", "POST /v1/events/import", `{"id":"h3","type":"document.created","org":"ORG","time":"9999-01-01T00:00:00Z","data":{"pages":1}}`, 400},
	{"an import from before all", "POST /v1/events/import", `{"id":"h4","type":"document.created","org":"ORG","time":"0000-01-01T00:00:00Z","data":{"pages":1}}`, 400},
	{"an event of a value beyond int64", "POST /v1/events", `{"id":"h5","type":"document.created","org":"ORG","data":{"pages":99999999999999999999}}`, 400},
	{"an event of a fraction", "POST /v1/events", `{"id":"h6","type":"document.created","org":"ORG","data":{"pages":0.5}}`, 400},
	{"an event of NUL", "POST /v1/events", `{"id":"\u0000","type":"document.created","org":"ORG","data":{"pages":1}}`, 400},
	{"an event of nobody", "POST /v1/events", `{"id":"h10","type":"document.created","org":"\u0000","data":{"pages":1}}`, 400},
	{"an event of an id without end", "POST /v1/events", `{"id":"` + strings.Repeat("x", 10_000) + `","type":"document.created","org":"ORG","data":{"pages":1}}`, 400},
	{"an event whose data are deep", "POST /v1/events", `{"id":"h11","type":"document.created","org":"ORG","data":` + strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000) + `}`, 400},
	{"an event whose data are a text", "POST /v1/events", `{"id":"h12","type":"document.created","org":"ORG","data":"pages"}`, 400},
	{"too many events", "POST /v1/events", "[" + strings.Repeat(`{},`, 10_000) + "{}]", 400},
	{"a batch that is cut", "POST /v1/events", `[{"id":"h13","type":"document.created","org":"ORG","data":{"pages":1}},`, 400},
	{"a batch that is cut in the second", "POST /v1/events", `[{"id":"h14","type":"document.created","org":"ORG","data":{"pages":1}},{"id":`, 400},

	{"a customer of NUL", "PUT /v1/orgs/ORG/stripe-customer", `{"customer":"cus_\u0000"}`, 400},
	{"a customer without end", "PUT /v1/orgs/ORG/stripe-customer", `{"customer":"cus_` + strings.Repeat("x", 1000) + `"}`, 400},
	{"a customer of nobody", "PUT /v1/orgs/%00/stripe-customer", `{"customer":"cus_1"}`, 404},
	{"a row of NUL", "POST /v1/stripe/outbox/events/%00/retry", "", 404},
	{"a row that is no text", "POST /v1/stripe/outbox/events/%ff/retry", "", 404},
	{"a row without end", "POST /v1/stripe/outbox/events/" + strings.Repeat("x", 5000) + "/retry", "", 400},
	{"a meter of NUL", "DELETE /v1/meters/%00", "", 404},
	{"a meter that is no text", "DELETE /v1/meters/%ff", "", 404},
	{"a built-in meter, deleted", "DELETE /v1/meters/cost", "", 409},
	{"a meter that a quota names", "DELETE /v1/meters/pages", "", 409},
	{"a rate of no date", "DELETE /v1/rates?model=m&valid_from=yesterday", "", 400},
	{"a rate of NUL", "DELETE /v1/rates?model=%00&valid_from=2026-01-01T00:00:00Z", "", 404},
	{"a rate of the year 99999", "DELETE /v1/rates?model=m&valid_from=99999-01-01T00:00:00Z", "", 400},
	{"an override of NUL", "DELETE /v1/orgs/ORG/quotas/%00/month", "", 404},
	{"an override of no period", "DELETE /v1/orgs/ORG/quotas/pages/%ff", "", 404},
}

// hostileQueries are parameters that nobody means well with.
var hostileQueries = []struct {
	path, query string
	status      int
}{
	{"/v1/meters/pages/usage", "tz=Mars/Base", 400}, {"/v1/meters/pages/usage", "tz=../../etc/passwd", 400},
	{"/v1/meters/pages/usage", "tz=%00", 400}, {"/v1/meters/pages/usage", "tz=%ff", 400}, {"/v1/meters/pages/usage", "since=99999-01-01", 400},
	{"/v1/meters/pages/usage", "since=0000-01-01&until=9999-01-01", 400}, {"/v1/meters/pages/usage", "since=-1", 400},
	{"/v1/meters/pages/usage", "until=9999-12-31T23:45:00Z&since=9999-12-31", 400}, {"/v1/meters/pages/usage", "step=15m&since=2026-01-01&until=2026-12-31", 400},
	{"/v1/meters/pages/usage", "group=key" + strings.Repeat("&group=key", 50), 400}, {"/v1/meters/pages/usage", "group=%00", 400},
	{"/v1/meters/pages/usage", "filter.key=%00", 400}, {"/v1/meters/pages/usage", "filter.%00=a", 400}, {"/v1/meters/pages/usage", "org=%00", 400},
	{"/v1/meters/pages/usage", "org=%ff", 400}, {"/v1/meters/pages/usage", "format=html", 400}, {"/v1/meters/%00/usage", "", 404}, {"/v1/meters/%ff/usage", "", 404},
	{"/v1/meters/" + strings.Repeat("x", 5000) + "/usage", "", 400},
	{"/v1/quotas", "org=%00", 404}, {"/v1/quotas", "org=%ff", 404}, {"/v1/quotas", "org=" + strings.Repeat("x", 5000), 400}, {"/v1/orgs/%00/quotas", "", 404},
	{"/v1/rates", "model=%00", 400}, {"/v1/usage/verify", "at=now", 400},
	{"/v1/usage/export", "after=-1", 400}, {"/v1/usage/export", "after=99999999999999999999", 400}, {"/v1/usage/export", "limit=-1", 400},
	{"/v1/usage/export", "limit=99999999999999999999", 400}, {"/v1/usage/export", "after=9223372036854775807", 200},
	{"/v1/usage/export", "org=ORG&after=0", 400}, {"/v1/usage/export", "org=ORG&after=%00", 400}, {"/v1/usage/export", "org=ORG&since=99999-01-01T00:00:00Z", 400},
	{"/v1/usage/export", "org=ORG&since=0001-01-01T00:00:00Z", 200}, {"/v1/usage/export", "org=ORG&since=9999-12-31T00:00:00Z", 200},
	{"/v1/usage/export", "org=%00", 404}, {"/v1/usage/export", "format=%00", 400},
	{"/v1/usage/export", "org=ORG&after=" + strings.Repeat("A", 8000), 400},
	{"/v1/stripe/outbox/events", "state=%00", 400}, {"/v1/stripe/outbox/events", "org=%ff", 404},
	{"/v1/orgs/%00/stripe-customer", "", 404}, {"/v1/reservations/%00", "", 404}, {"/v1/reservations/%ff", "", 404},
	{"/v1/reservations", "state=lost", 400}, {"/v1/reservations", "org=%00", 404},
}

// hostilePages are parameters of lists.
var hostilePages = []string{"limit=0", "limit=-1", "limit=201", "limit=1e9", "limit=99999999999999999999", "limit=%00", "cursor=x", "cursor=%00", "cursor=%ff",
	"cursor=" + strings.Repeat("A", 8000), "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OSB4", "cursor=LTEgeA%3D%3D", "cursor=MSAA"}

func manyFields(n int) string {
	var fields []string
	for i := range n {
		fields = append(fields, fmt.Sprintf(`"d%d":"v"`, i))
	}
	return strings.Join(fields, ",")
}

// hostile is a gate with an organization that has something to lose.
type hostile struct {
	*gate
	t             *testing.T
	key, org, rsv string
}

// must makes a call that has to succeed, and returns its answer.
func (h *hostile) must(line, body string) string {
	h.t.Helper()
	method, path, _ := strings.Cut(line, " ")
	got := ask(h.t, method, h.console+path, body, "Authorization: Bearer "+h.key, "Content-Type: application/json")
	if got.status >= 300 {
		h.t.Fatalf("%s: %d %s", line, got.status, got.body)
	}
	return got.body
}

// refused makes a call, and wants the status and a problem in the one form.
func (h *hostile) refused(name, method, path, media, body string, status int) {
	h.t.Helper()
	fill := strings.NewReplacer("ORG", h.org, "RSV", h.rsv)
	got := ask(h.t, method, h.console+fill.Replace(path), fill.Replace(body), "Authorization: Bearer "+h.key, "Content-Type: "+media)
	if len(path) > 100 {
		path = path[:100] + "…"
	}
	if got.status != status {
		h.t.Errorf("%s: %s %s: %d, want %d: %.300s", name, method, path, got.status, status, got.body)
	}
	if kind := got.header.Get("Content-Type"); got.status >= 400 && (kind != "application/problem+json" || got.problem().Code == "" || got.problem().Code == "internal") {
		h.t.Errorf("%s: %s %s: %q: %.300s", name, method, path, kind, got.body)
	}
}

// state is all that the calls could have written.
func (h *hostile) state() string {
	var all strings.Builder
	for _, path := range []string{"/v1/meters", "/v1/plans", "/v1/orgs/" + h.org + "/quotas", "/v1/rates", "/v1/reservations", "/v1/stripe/customers",
		"/v1/stripe/outbox", "/v1/meters/pages/usage?since=2026-01-01&until=2026-12-31&group=org&group=key&group=route",
		"/v1/meters/agent_minutes/usage?since=2026-01-01&until=2026-12-31"} {
		all.WriteString(h.must("GET "+path, "") + "\n")
	}
	return all.String()
}

// TestHostileInputWritesNothing tries every call of usage with what nobody
// means well. Each must be refused in the one form, and nothing be half written.
func TestHostileInputWritesNothing(t *testing.T) {
	eachGate(t, func(t *testing.T, g *gate) {
		h := &hostile{gate: g, t: t, org: g.org("pro")}
		var key mintedKey
		g.terminal.do(&key, "key", "create", "--operator", "--name", "all", "--scope", "*")
		h.key = key.Key
		h.must("POST /v1/meters/apply", `{"meters":[{"slug":"pages","name":"P","aggregation":"sum","event_type":"document.created","value":"pages"},
			{"slug":"peak","name":"Peak","aggregation":"max","event_type":"peak","value":"n"}]}`)
		h.must("PUT /v1/orgs/"+h.org+"/quotas/pages/month", `{"limit":1000000}`)
		h.must("PUT /v1/orgs/"+h.org+"/quotas/agent_minutes/month", `{"limit":100}`)
		h.must("PUT /v1/orgs/"+h.org+"/stripe-customer", `{"customer":"cus_1"}`)
		made := h.must("POST /v1/reservations", `{"org":"`+h.org+`","meter":"agent_minutes","amount":10,"life":"1h"}`)
		_, rest, _ := strings.Cut(made, `"id":"`)
		h.rsv, _, _ = strings.Cut(rest, `"`)
		before := h.state()

		for _, line := range []string{"POST /v1/meters/apply", "PUT /v1/orgs/ORG/quotas/agent_minutes/month", "POST /v1/reservations",
			"POST /v1/reservations/RSV/settle", "POST /v1/reservations/RSV/extend", "POST /v1/rates/apply", "POST /v1/usage/adjustments",
			"POST /v1/events", "POST /v1/events/import", "PUT /v1/orgs/ORG/stripe-customer", "PUT /v1/plans/pro", "POST /v1/plans/apply"} {
			method, path, _ := strings.Cut(line, " ")
			for _, c := range hostileBodies {
				h.refused(c.name, method, path, c.media, c.body, c.status)
			}
		}
		for _, c := range hostileCalls {
			method, path, _ := strings.Cut(c.line, " ")
			h.refused(c.name, method, path, "application/json", c.body, c.status)
		}
		for _, c := range hostileQueries {
			h.refused(c.query, "GET", c.path+"?"+strings.ReplaceAll(c.query, "ORG", h.org), "", "", c.status)
		}
		for _, path := range []string{"/v1/reservations", "/v1/quota-notices", "/v1/stripe/customers", "/v1/stripe/outbox/events"} {
			for _, query := range hostilePages {
				h.refused(query, "GET", path+"?"+query, "", "", http.StatusBadRequest)
			}
		}
		own := g.key(h.org)
		h.key = own.Key
		for _, kind := range []string{"document.created", "cost", "agent_minutes"} { // which would give it more to use
			h.refused("less used", "POST", "/v1/events", "application/json", `{"id":"own","type":"`+kind+`","data":{"pages":-1,"value":-1}}`, 400)
		}
		h.key = key.Key
		if after := h.state(); after != before {
			t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
		}
		if err := g.stop(); err != nil {
			t.Error(err)
		}
		if code, out, errs := g.terminal.run("", "usage", "verify", "--json"); code != exitOK {
			t.Errorf("usage verify: exit %d\n%s\n%s", code, out, errs)
		}
	})
}
