package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// long reports whether the slow proofs run at full length.
func long() bool { return os.Getenv("GATEHOUSE_LONG") == "1" }

// paidAPI stands in for a paid API: a call costs exactly as many micros as it
// says, and the API adds up what it was really asked to do.
type paidAPI struct {
	*httptest.Server
	cost  atomic.Int64 // micros
	calls atomic.Int64
	pause time.Duration
}

// The price of the stand-in's model: ten dollars for a million output tokens,
// nothing else costs. So a token is 10 micros.
const paidModel, microsPerToken = "proof-1", 10

const paidRates = "rates:\n- {model: proof-1, provider: test, input: \"0\", output: \"10\", max_input: 1000000, max_output: 4096, valid_from: 2026-01-01T00:00:00Z}\n"

func newPaidAPI(t *testing.T) *paidAPI {
	p := &paidAPI{pause: 2 * time.Millisecond}
	p.Server = httptest.NewServer(http.HandlerFunc(p.answer))
	t.Cleanup(p.Close)
	return p
}

func (p *paidAPI) answer(w http.ResponseWriter, r *http.Request) {
	var call struct {
		MaxTokens int64 `json:"max_tokens"`
		Stream    bool  `json:"stream"`
	}
	if r.Header.Get("Authorization") != "Bearer paid-secret" || r.Header.Get("X-Gatehouse-Org") != "" {
		http.Error(w, `{"error":{"message":"wrong key, or the gate's own headers"}}`, http.StatusUnauthorized)
		return
	}
	if json.NewDecoder(r.Body).Decode(&call) != nil || call.MaxTokens < 1 {
		http.Error(w, `{"error":{"message":"max_tokens"}}`, http.StatusBadRequest)
		return
	}
	output := 1 + rand.Int64N(call.MaxTokens)
	p.calls.Add(1)
	p.cost.Add(output * microsPerToken)
	time.Sleep(time.Duration(rand.Int64N(int64(p.pause) + 1)))
	usage := fmt.Sprintf(`{"prompt_tokens":7,"completion_tokens":%d,"total_tokens":%d}`, output, output+7)
	if !call.Stream {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"x","object":"chat.completion","model":"proof-1","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":%s}`, usage)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hello"}}]}`+"\n\n")
	http.NewResponseController(w).Flush()
	fmt.Fprintf(w, "data: {\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":%s}\n\ndata: [DONE]\n\n", usage)
}

// usageStage is a gate with a paid API behind an egress route, an
// organization with a budget, and the app's own key.
type usageStage struct {
	*gate
	paid    *paidAPI
	org     string // slug
	orgKey  string // of the organization
	ownKey  string // the app's own
	started time.Time
}

// newUsageStage gives the organization a hard budget in dollars.
func newUsageStage(t *testing.T, e engine, budget string, settings ...string) *usageStage {
	t.Helper()
	s := &usageStage{gate: newGate(t, e, settings...), paid: newPaidAPI(t), started: time.Now()}
	limit := dollars(t, budget)
	s.give("plans:\n- {slug: capped, name: Capped, quotas: [{meter: cost, limit: "+strconv.FormatInt(limit, 10)+", period: month}]}\n", "plan", "apply", "-f", "-")
	s.give(paidRates, "rate", "apply", "-f", "-")
	file := filepath.Join(t.TempDir(), "routes.yaml")
	text := "upstreams:\n- {name: app, addresses: [" + s.app.URL + "]}\n" +
		"- {name: paid, addresses: [" + s.paid.URL + "], allow_private: true, credential: {header: Authorization, prefix: \"Bearer \", secret: paid-secret}}\n" +
		"routes:\n- {name: app, path_prefix: /, upstream: app}\n" +
		"- {name: paid, path_prefix: /paid, strip_prefix: /paid, upstream: paid, egress: {api: openai}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.terminal.do(nil, "route", "apply", "-f", file, "--prune")
	s.org = s.gate.org("capped")
	s.orgKey = s.key(s.org).Key
	var own mintedKey
	s.terminal.do(&own, "key", "create", "--operator", "--name", "app", "--scope", "egress", "--scope", "events:write",
		"--scope", "reservations:write", "--scope", "usage:read", "--scope", "quotas:read", "--scope", "usage:import")
	s.ownKey = own.Key
	s.await("the paid route", func() bool { // without an organization nothing is sent
		status, _ := send("POST", s.url+"/paid/v1/chat/completions", s.ownKey, "{}")
		return status == http.StatusBadRequest
	})
	return s
}

func dollars(t *testing.T, text string) int64 {
	t.Helper()
	whole, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return whole * 1_000_000
}

// give runs a command that reads a file from standard input.
func (g *gate) give(input string, args ...string) {
	g.t.Helper()
	if code, _, errs := g.terminal.run(input, args...); code != exitOK {
		g.t.Fatalf("%v: %s", args, errs)
	}
}

var noKeepAlive = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}, Timeout: patience}

// send is one call from outside; status 0: no answer came.
func send(method, url, key, body string, header ...string) (status int, answer []byte) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	got, err := noKeepAlive.Do(request)
	if err != nil {
		return 0, nil
	}
	defer got.Body.Close()
	answer, err = io.ReadAll(got.Body)
	if err != nil {
		return 0, nil
	}
	return got.StatusCode, answer
}

// think makes one paid call through the gate at url.
func (s *usageStage) think(url string, maxTokens int) (status int, answer []byte) {
	body := fmt.Sprintf(`{"model":%q,"max_tokens":%d,"stream":%v,"messages":[{"role":"user","content":"hi"}]}`, paidModel, maxTokens, rand.IntN(2) == 0)
	return send("POST", url+"/paid/v1/chat/completions", s.ownKey, body, "X-Gatehouse-Org", s.org)
}

// insist makes a paid call until the gate decides it: a machine that is busy may
// be slower than the gate has patience.
func (s *usageStage) insist(url string, maxTokens int) (status int, answer []byte) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		status, answer = s.think(url, maxTokens)
		if status != 0 && status != http.StatusServiceUnavailable {
			break
		}
	}
	return status, answer
}

// account is what the API tells of the organization's budget.
type account struct {
	Meter    string `json:"meter"`
	Limit    int64  `json:"limit"`
	Used     int64  `json:"used"`
	Reserved int64  `json:"reserved"`
}

// budget polls the console at url for the organization's budget until it is
// as it should be. A database that was away, or is slow, gives no answer yet.
func (s *usageStage) budget(url, what string, holds func(account) bool) (a account) {
	s.t.Helper()
	last := "nothing"
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the console said last: %s", last)
		}
	}()
	s.await(what, func() bool {
		status, raw := send("GET", url+"/v1/orgs/"+s.org+"/quotas", s.ownKey, "")
		last = fmt.Sprintf("%d %s", status, raw)
		var list struct {
			Items []account `json:"items"`
		}
		if status != http.StatusOK || json.Unmarshal(raw, &list) != nil {
			return false
		}
		at := slices.IndexFunc(list.Items, func(a account) bool { return a.Meter == "cost" })
		if at >= 0 {
			a = list.Items[at]
		}
		return at >= 0 && holds(a)
	})
	return a
}

// settled waits until nothing of the budget is reserved.
func (s *usageStage) settled() {
	s.t.Helper()
	s.budget(s.console, "nothing is reserved any more", func(a account) bool { return a.Reserved == 0 })
}

// meter is what was used of a meter since the stage began.
func (s *usageStage) meter(name string) (total int64) {
	s.t.Helper()
	var report struct {
		Rows []struct {
			Value int64 `json:"value"`
		} `json:"rows"`
	}
	s.terminal.do(&report, "usage", "report", "--meter", name, "--org", s.org, "--since", "1d")
	for _, row := range report.Rows {
		total += row.Value
	}
	return total
}

// proven runs the offline proof, which must hold.
func (s *usageStage) proven() {
	s.t.Helper()
	if code, out, errs := s.terminal.run("", "usage", "verify", "--json"); code != exitOK {
		s.t.Errorf("usage verify: exit %d\n%s\n%s", code, out, errs)
	}
}

// reporter sends events until told to stop, each one to five times, and again
// until it was acknowledged.
type reporter struct {
	distinct atomic.Int64 // acknowledged, each once
	sent     atomic.Int64
	stop     atomic.Bool
	all      sync.WaitGroup
}

func (r *reporter) report(name string, url, key, org string) {
	r.all.Go(func() {
		for n := 0; !r.stop.Load(); n++ {
			size := 1 + rand.IntN(20)
			var batch bytes.Buffer
			batch.WriteByte('[')
			for i := range size {
				if i > 0 {
					batch.WriteByte(',')
				}
				fmt.Fprintf(&batch, `{"specversion":"1.0","id":"%s-%d-%d","source":"proof","type":"document.created","subject":%q,"data":{"pages":3}}`, name, n, i, org)
			}
			batch.WriteByte(']')
			for times := 1 + rand.IntN(5); times > 0; {
				status, raw := send("POST", url+"/v1/events", key, batch.String(), "Content-Type", "application/cloudevents-batch+json")
				r.sent.Add(int64(size))
				var got struct{ Accepted, Duplicate int64 }
				if status == 200 && json.Unmarshal(raw, &got) == nil && got.Accepted+got.Duplicate == int64(size) {
					times--
				} else {
					time.Sleep(20 * time.Millisecond) // it is being killed
				}
			}
			r.distinct.Add(int64(size))
		}
	})
}
