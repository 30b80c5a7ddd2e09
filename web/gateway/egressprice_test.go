package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// A call costs what the tier, the length and the searches cost that its answer
// names; what the price list does not know of it is refused where a budget must
// hold, and else counted at the dearest that is known, as an estimate.
func TestACallCostsWhatItsAnswerNames(t *testing.T) {
	rate := app.Rate{Model: "p-1", Input: "1", Output: "2", Search: "0.01", MaxInput: 1000, MaxOutput: 1000, ValidFrom: noon.AddDate(-1, 0, 0),
		Variants: []app.RateVariant{{Tier: "flex", Input: "0.5", Output: "1"}, {Tier: "priority", Input: "3", Output: "6"}, {AboveInput: 200, Input: "10", Output: "20"}}}
	chat := func(more string) string { return `{"model":"p-1","max_tokens":100,` + more + `"messages":[]}` }
	flex, responses := chat(`"service_tier":"flex",`), "/openai/v1/responses"
	for _, row := range []struct {
		name, path, body, reply string
		cost, estimated         int64
		refused                 bool // under a budget
	}{
		{"the standard", openaiPath, chat(""), `{"service_tier":"default","usage":{"prompt_tokens":10,"completion_tokens":50}}`,
			10*1 + 50*2, 0, false},
		{"flex", openaiPath, flex, `{"service_tier":"flex","usage":{"prompt_tokens":10,"completion_tokens":50}}`,
			5 + 50*1, 0, false},
		{"flex that fell back", openaiPath, flex, `{"service_tier":"default","usage":{"prompt_tokens":10,"completion_tokens":50}}`,
			10*1 + 50*2, 0, false},
		{"the project's tier", openaiPath, chat(""), `{"service_tier":"priority","usage":{"prompt_tokens":10,"completion_tokens":50}}`,
			10*3 + 50*6, 0, false},
		{"a stream's tier", openaiPath, chat(`"stream":true,`), "data: {\"choices\":[],\"service_tier\":\"priority\",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":50}}\n\ndata: [DONE]\n\n",
			10*3 + 50*6, 0, false},
		{"a long prompt", openaiPath, strings.Replace(chat(""), "[]", `[{"role":"user","content":"`+strings.Repeat("word ", 300)+`"}]`, 1),
			`{"service_tier":"default","usage":{"prompt_tokens":300,"completion_tokens":50}}`,
			300*10 + 50*20, 0, false},
		{"two searches", responses, `{"model":"p-1","max_output_tokens":100,"max_tool_calls":5,"tools":[{"type":"web_search"}],"input":"hi"}`,
			`{"service_tier":"default","output":[{"type":"web_search_call"},{"type":"web_search_call"}],"usage":{"input_tokens":10,"output_tokens":50}}`,
			10*1 + 50*2 + 2*10_000, 0, false},
		{"a tier without a price", openaiPath, chat(`"service_tier":"ultrafast",`), `{"service_tier":"ultrafast","usage":{"prompt_tokens":10,"completion_tokens":50}}`,
			10*3 + 50*6, 1, true},
		{"a tier that was not asked for", openaiPath, chat(`"service_tier":"default",`), `{"service_tier":"ultrafast","usage":{"prompt_tokens":10,"completion_tokens":50}}`,
			10*3 + 50*6, 1, false},
		{"long caching without a price", anthropicPath, `{"model":"p-1","max_tokens":100,"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}`,
			`{"usage":{"input_tokens":10,"output_tokens":50,"cache_creation_input_tokens":20,"cache_creation":{"ephemeral_1h_input_tokens":20}}}`,
			30*1 + 50*2, 1, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, capped := range []bool{true, false} {
				limit := granting()
				if capped {
					limit = granting(monthly("cost", 1_000_000))
				}
				d := newDesk(t, onSQLite(t), inWords(row.reply), limit)
				d.apply(d.store.UpsertRates(t.Context(), []app.Rate{rate}))
				d.apply(nil, d.rates.Load(t.Context()))
				got := d.call(row.path, row.body)
				if capped && row.refused {
					if got.status != 402 || got.code() != "price_unknown" || d.api.asked.Load() != 0 {
						t.Errorf("under a budget: %d %s, the vendor was asked %d times", got.status, got.body, d.api.asked.Load())
					}
					continue
				}
				if cost, estimated := d.costs(); got.status != 200 || cost != row.cost || estimated != row.estimated {
					t.Errorf("capped %v: %d, costs %d, %d estimated, want %d, %d: %s", capped, got.status, cost, estimated, row.cost, row.estimated, got.body)
				}
			}
		})
	}
}

// inWords answers with a text, as a stream where it is one.
func inWords(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(text, "data: ") {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		w.Write([]byte(text))
	}
}

// costs are what the organization's calls cost by the records, and how many of
// them are estimated.
func (d *desk) costs() (cost, estimated int64) {
	d.t.Helper()
	d.apply(nil, d.ledger.Close(d.t.Context()))
	report, err := metering.Reports{Store: d.blocks.BlockStore.(*store.Ledger)}.Meter(d.t.Context(), system, app.MeterQuery{Org: d.org.ID,
		Meter: "cost", Since: noon.Add(-time.Hour), Until: noon.Add(time.Hour)})
	d.apply(report, err)
	for _, row := range report.Rows {
		cost, estimated = cost+row.Value, estimated+row.Estimated
	}
	return cost, estimated
}
