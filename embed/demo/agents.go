package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Agents are the background jobs of the sample app: where cost starts that no
// incoming request shows. They call paid models through the gate, reserve
// agent-minutes before they work, and report what only the app knows.
type Agents struct {
	Gateway string   // base URL, for paid calls
	Console string   // base URL of the API, for reservations and events
	Key     string   // the app's own: scopes egress, reservations:write, events:write
	Orgs    []Worker // on whose behalf
	HTTP    *http.Client
	Seed    uint64
}

// Worker is an organization whose agents work.
type Worker struct {
	Org  string  // id or slug
	Rate float64 // tasks a second, on average
}

// Tasks is how busy a customer's agents are, in tasks a second.
func (c Customer) Tasks() float64 {
	switch {
	case c.Suspended:
		return 0
	case c.Shape == ShapeOver:
		return 0.8 // its budget ends within minutes
	case c.Plan == "free":
		return 0.02
	case c.Plan == "starter":
		return 0.06
	}
	return 0.25
}

// Run works until the context ends.
func (a *Agents) Run(ctx context.Context) {
	var all sync.WaitGroup
	for i, worker := range a.Orgs {
		random := rand.New(rand.NewPCG(a.Seed, 1000+uint64(i)))
		all.Go(func() { a.work(ctx, worker, random) })
	}
	all.Wait()
}

func (a *Agents) work(ctx context.Context, worker Worker, random *rand.Rand) {
	for n := 1; worker.Rate > 0; n++ {
		wait := time.NewTimer(time.Duration(random.ExpFloat64() / worker.Rate * float64(time.Second)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		a.task(ctx, worker.Org, fmt.Sprintf("task-%d-%d", random.Uint32(), n), random)
	}
}

// task is one piece of work: reserve the time, think, report, settle.
func (a *Agents) task(ctx context.Context, org, name string, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	reserved := a.post(ctx, a.Console+"/v1/reservations", map[string]any{"org": org, "meter": "agent_minutes", "amount": 5}, nil)
	id, _ := reserved["id"].(string)
	if id == "" {
		return // no minutes are left: the work does not begin
	}
	a.think(ctx, org, name, random)
	a.post(ctx, a.Console+"/v1/events", map[string]any{"specversion": "1.0", "id": name, "source": "sample", "type": "document.created",
		"subject": org, "data": map[string]any{"pages": 1 + random.IntN(20), "format": []string{"pdf", "docx", "html"}[random.IntN(3)]}},
		http.Header{"Content-Type": {"application/cloudevents+json"}})
	a.post(ctx, a.Console+"/v1/reservations/"+id+"/settle", map[string]any{"used": 1 + random.IntN(3)}, nil)
}

// think calls a paid model through the gate, which puts the cost down to the
// organization, or refuses when its budget does not cover it.
func (a *Agents) think(ctx context.Context, org, task string, random *rand.Rand) {
	call := map[string]any{"max_tokens": 600, "stream": random.IntN(2) == 0,
		"messages": []any{map[string]string{"role": "user", "content": "Write the report."}}}
	path := "/egress/anthropic/v1/messages"
	call["model"] = []string{"claude-sonnet-4-5", "claude-haiku-4-5"}[random.IntN(2)]
	if random.IntN(3) == 0 {
		path, call["model"] = "/egress/openai/v1/chat/completions", "gpt-5-mini"
	}
	a.post(ctx, a.Gateway+path, call, http.Header{"X-Gatehouse-Org": {org}, "X-Gatehouse-Task": {task},
		"X-Gatehouse-User": {fmt.Sprintf("user-%d", 1+random.IntN(5))}})
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// post sends JSON and returns the object that came back, nil for anything else.
func (a *Agents) post(ctx context.Context, url string, body any, header http.Header) (got map[string]any) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(raw)))
	if err != nil {
		return nil
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "User-Agent": {"gatehouse-demo"}}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Authorization", "Bearer "+a.Key)
	answer, err := a.HTTP.Do(request)
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	if read, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)); err == nil && answer.StatusCode < 300 {
		json.Unmarshal(read, &got)
	}
	return got
}
