package gateway_test

import (
	"compress/gzip"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

func TestWhoMayCallAPaidAPI(t *testing.T) {
	d := newDesk(t, onSQLite(t), says(t, "openai_chat.json"), everythingCapped(1_000_000))
	other := d.stage.org("Other")
	theirs, gone := d.stage.key(other.ID), d.stage.key(d.org.ID)
	d.apply(d.keys.Revoke(t.Context(), system, d.org.ID, gone.ID))
	suspended := d.stage.org("Late")
	d.apply(d.orgs.Suspend(t.Context(), system, string(suspended.ID), "unpaid"))
	own, plain := bearer(d.own.Secret), bearer(d.stage.key("").Secret)
	forOrg := func(name string) string { return "X-Gatehouse-Org: " + name }
	forKey := func(id app.KeyID) string { return "X-Gatehouse-Key: " + string(id) }
	for _, row := range []struct {
		name    string
		status  int
		code    string
		headers []string
	}{
		{"anonymous", 401, "credential_missing", nil},
		{"anonymous that names an organization", 401, "credential_missing", []string{d.whom}},
		{"a wrong key", 401, "key_malformed", []string{"Authorization: Bearer gk_live_wrong", d.whom}},
		{"an organization's key", 200, "", []string{own}},
		{"an organization's key names another", 200, "", []string{own, forOrg(other.Slug), forKey(theirs.ID)}},
		{"an operator's key without the scope", 403, "scope_missing", []string{plain, d.whom}},
		{"an operator's key with it", 200, "", []string{d.app, d.whom}},
		{"in the other header", 200, "", []string{"X-Api-Key: " + strings.TrimPrefix(d.app, "Authorization: Bearer "), d.whom}},
		{"by id", 200, "", []string{d.app, forOrg(string(d.org.ID))}},
		{"for nobody", 400, "egress_org_missing", []string{d.app}},
		{"for two", 400, "egress_org_missing", []string{d.app, d.whom, forOrg(other.Slug)}},
		{"for an organization that is not there", 404, "not_found", []string{d.app, forOrg("nobody")}},
		{"for a suspended one", 403, "org_suspended", []string{d.app, forOrg(suspended.Slug)}},
		{"for a key of it", 200, "", []string{d.app, d.whom, forKey(d.own.ID)}},
		{"for a key of another organization", 404, "not_found", []string{d.app, d.whom, forKey(theirs.ID)}},
		{"for a key that is not there", 404, "not_found", []string{d.app, d.whom, forKey("key_none")}},
		{"for a revoked key", 403, "egress_key_ended", []string{d.app, d.whom, forKey(gone.ID)}},
		{"over a WebSocket", 400, "egress_upgrade", []string{d.app, d.whom, "Connection: Upgrade", "Upgrade: websocket"}},
	} {
		before := d.api.asked.Load()
		got := d.ask("POST", openaiPath, plainCall, row.headers...)
		if passed := d.api.asked.Load() > before; got.status != row.status || got.code() != row.code || passed != (row.status == 200) {
			t.Errorf("%s: %d %s, passed %v, want %d %s", row.name, got.status, got.body, passed, row.status, row.code)
		}
	}
	if got := d.get("/v1/authorize", own, "X-Forwarded-Uri: "+openaiPath); got.code() != "egress_route" {
		t.Errorf("another proxy asks about it: %d %s", got.status, got.body)
	}
	if other := d.account(other.ID, "", "cost"); other.Spent != 0 {
		t.Errorf("the other organization paid %d", other.Spent)
	}
	// Of the six that passed, two were the organization's own requests.
	if n, sum := d.spent("requests"), d.usage(d.org.ID); n != 2 || sum.Weight != 2 || sum.Requests != 6 {
		t.Errorf("%d requests drawn, %d counted of weight %d, want 6 of weight 2: what the app calls is no traffic of its customer's", n, sum.Requests, sum.Weight)
	}
}

// While an organization's only request is in flight, the app may call for it: or
// the request could never end.
func TestCallsHoldNoPlaceOfTheirOrganization(t *testing.T) {
	d := newDesk(t, onSQLite(t), tells(1, 1), func(s *stage) { s.plan.InFlight = 1 })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.try(t.Context(), "GET", "/held", http.NoBody, bearer(d.own.Secret))
	}()
	<-d.stage.app.entered
	if got := d.call(openaiPath, plainCall); got.status != 200 {
		t.Errorf("the app: %d %s", got.status, got.body)
	}
	if got := d.ask("POST", openaiPath, plainCall, bearer(d.own.Secret)); got.code() != "in_flight_limited" {
		t.Errorf("the organization: %d %s", got.status, got.body)
	}
	d.stage.app.release <- struct{}{}
	<-ended
}

// The vendor sees the operator's credential, and nothing of who calls.
func TestAPaidAPISeesNothingOfWhoCalls(t *testing.T) {
	d := newDesk(t, onSQLite(t), says(t, "openai_chat.json"))
	d.egress(app.Egress{}, app.Route{Name: "edited", PathPrefix: "/openai/edited", StripPrefix: "/openai/edited", Upstream: "paid",
		Egress: &app.Egress{API: app.EgressOpenAI}, Headers: app.Edits{Set: map[string]string{"X-Team": "${org.slug}"}}})
	for _, path := range []string{openaiPath, "/openai/edited/v1/chat/completions"} {
		got := d.call(path, plainCall, "X-Gatehouse-User: lena", "X-Gatehouse-Task: report", "x_gatehouse_org: forged", "Cookie: a=b",
			"Traceparent: 00-1-2-01", "X-Request-Id: mine", "X-Forwarded-For: 192.0.2.1", "X-B3-Traceid: 7", "Accept-Encoding: br, gzip", "Idempotency-Key: i1",
			"Connection: x-api-key, accept-encoding")
		asked, body := d.api.seen()
		if got.status != 200 || asked.Header.Get("X-Api-Key") != vendorSecret || body != plainCall || asked.Header.Get("Idempotency-Key") != "i1" {
			t.Errorf("%d %s, header %v, body %s", got.status, got.body, asked.Header, body)
		}
		if asked.Header.Get("Accept-Encoding") != "identity" || asked.Host != strings.TrimPrefix(d.api.URL, "http://") || asked.URL.Path != "/v1/chat/completions" {
			t.Errorf("coding %q, host %s, path %s", asked.Header.Get("Accept-Encoding"), asked.Host, asked.URL.Path)
		}
		all := fmt.Sprint(asked.Header)
		for _, secret := range []string{"gk_", "lena", "report", "forged", "a=b", "00-1-2", "mine", "192.0.2.1", "X-Forwarded-For", "X-Real-Ip", "Gatehouse", "B3", string(d.org.ID)} {
			if strings.Contains(all, secret) {
				t.Errorf("the vendor is told %q: %v", secret, all)
			}
		}
		if team := asked.Header.Get("X-Team"); (team == d.org.Slug) != strings.Contains(path, "edited") {
			t.Errorf("%s: X-Team %q", path, team)
		}
	}
}

// What answers say that they took is counted, whichever way they say it.
func TestACallIsCountedAsItsAnswerSays(t *testing.T) {
	zipped := func(t *testing.T, file string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			plain := httptest.NewRecorder()
			says(t, file)(plain, r)
			w.Header().Set("Content-Type", plain.Header().Get("Content-Type"))
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			z.Write(plain.Body.Bytes())
			z.Close()
		}
	}
	for _, row := range []struct {
		name, path, body                     string
		reply                                http.HandlerFunc
		status                               int
		input, output, cacheRead, cacheWrite int64
	}{
		{"OpenAI", openaiPath, plainCall, says(t, "openai_chat.json"), 200, 86, 300, 1920, 0},
		{"OpenAI, streamed", openaiPath, streamedCall, says(t, "openai_chat.sse"), 200, 19, 10, 0, 0},
		{"OpenAI, coded", openaiPath, plainCall, zipped(t, "openai_chat.json"), 200, 86, 300, 1920, 0},
		{"OpenAI, streamed and coded", openaiPath, streamedCall, zipped(t, "openai_chat.sse"), 200, 19, 10, 0, 0},
		{"OpenAI refuses", openaiPath, plainCall, says(t, "openai_error.json"), 429, 0, 0, 0, 0},
		{"Anthropic", anthropicPath, plainCall, says(t, "anthropic.json"), 200, 2095, 503, 30, 10},
		{"Anthropic, streamed", anthropicPath, streamedCall, says(t, "anthropic.sse"), 200, 25, 15, 0, 0},
		{"models are listed", "/openai/v1/models", "", says(t, "openai_error.json"), 429, 0, 0, 0, 0},
		{"a large body", openaiPath, strings.Replace(plainCall, "hi", strings.Repeat("long ", 60_000), 1), says(t, "openai_chat.json"), 200, 86, 300, 1920, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := newDesk(t, onSQLite(t), row.reply, everythingCapped(1_000_000))
			method := "POST"
			if row.body == "" {
				method = "GET"
			}
			got := d.ask(method, row.path, row.body, d.app, d.whom)
			if got.status != row.status || got.header.Get("Content-Encoding") != "" || strings.Contains(got.body, `"choices":[],"usage":{`) {
				t.Errorf("%d %v %s", got.status, got.header, got.body)
			}
			if strings.HasSuffix(row.name, "streamed") && !strings.Contains(got.body, "data: ") {
				t.Errorf("the answer is %q", got.body)
			}
			want := map[string]int64{"tokens_input": row.input, "tokens_output": row.output, "tokens_cache_read": row.cacheRead,
				"tokens_cache_write": row.cacheWrite, "cost": row.input + row.cacheRead + row.cacheWrite + 2*row.output}
			for meter, n := range want {
				if spent := d.spent(meter); spent != n {
					t.Errorf("%s: %d, want %d", meter, spent, n)
				}
			}
		})
	}
}

// A call that costs a fixed price, and one whose ledger cannot write.
func TestACallOfAFixedPrice(t *testing.T) {
	d := newDesk(t, onSQLite(t), says(t, "openai_chat.json"), granting(monthly("cost", 2000)))
	for i, want := range []int{200, 200, 402} {
		if got := d.call("/any/v1/send", "a message"); got.status != want {
			t.Errorf("call %d: %d %s, want %d", i, got.status, got.body, want)
		}
	}
	if _, body := d.api.seen(); body != "a message" {
		t.Errorf("the vendor was sent %q", body)
	}
	if n := d.spent("cost"); n != 1400 {
		t.Errorf("%d spent, want 1400", n)
	}
	if got := d.call("/any/v1/send", "a message"); got.status != 503 && got.status != 402 {
		t.Errorf("with the ledger closed: %d %s", got.status, got.body)
	}
	if n := d.api.asked.Load(); n != 2 {
		t.Errorf("the vendor was asked %d times", n)
	}
}

// What a call took is told by model, and by whom within the organization the app
// names; an organization's own key names nobody.
func TestCallsAreToldApart(t *testing.T) {
	d := newDesk(t, onSQLite(t), tells(10, 100))
	d.call(openaiPath, plainCall, "X-Gatehouse-User: lena", "X-Gatehouse-Task: report")
	d.call(openaiPath, strings.Replace(plainCall, "m-1", "m-2", 1), "X-Gatehouse-User: lena", "X-Gatehouse-Key: "+string(d.own.ID))
	d.ask("POST", openaiPath, plainCall, bearer(d.own.Secret), "X-Gatehouse-User: ben")
	d.apply(nil, d.ledger.Close(t.Context()))
	for _, row := range []struct {
		meter, group string
		want         map[string]int64
	}{
		{"cost", "model", map[string]int64{"m-1": 420, "m-2": 210}},
		{"tokens_output", "user", map[string]int64{"lena": 200, "": 100}},
		{"tokens_input", "task", map[string]int64{"report": 10, "": 20}},
		{"cost", "key", map[string]int64{"": 210, string(d.own.ID): 420}},
	} {
		report, err := metering.Reports{Store: d.blocks.BlockStore.(*store.Ledger)}.Meter(t.Context(), system, app.MeterQuery{Org: d.org.ID,
			Meter: row.meter, Group: []string{row.group}, Since: noon.Add(-time.Hour), Until: noon.Add(time.Hour)})
		d.apply(report, err)
		got := map[string]int64{}
		for _, r := range report.Rows {
			got[r.Group[row.group]] += r.Value
			if r.Estimated != 0 {
				t.Errorf("%s by %s: %d estimated", row.meter, row.group, r.Estimated)
			}
		}
		if !maps.Equal(got, row.want) {
			t.Errorf("%s by %s: %v, want %v", row.meter, row.group, got, row.want)
		}
	}
}
