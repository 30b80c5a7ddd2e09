package api_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestARepeatedCreationHappensOnce(t *testing.T) {
	everyHouse(t, func(h *house) {
		h.must(201, "POST /v1/orgs", `{"name":"Acme"}`)
		first := h.must(201, "POST /v1/orgs/acme/keys", `{"name":"ci"}`, "Idempotency-Key", "k-1")
		again := h.must(201, "POST /v1/orgs/acme/keys", `{"name":"ci"}`, "Idempotency-Key", "k-1")
		if again.text != first.text || first.str("key") == "" {
			h.t.Errorf("repeated: %s\nfirst: %s", again.text, first.text)
		}
		if first.header.Get("Idempotency-Replayed") != "" || again.header.Get("Idempotency-Replayed") != "true" {
			h.t.Errorf("marks: %q, %q", first.header.Get("Idempotency-Replayed"), again.header.Get("Idempotency-Replayed"))
		}
		if ct := again.header.Get("Content-Type"); ct != "application/json" {
			h.t.Errorf("repeated as %q", ct)
		}
		if list := h.must(200, "GET /v1/orgs/acme/keys", ""); strings.Count(list.text, `"id"`) != 1 {
			h.t.Errorf("keys: %s", list.text)
		}
		for _, other := range []struct{ line, body string }{
			{"POST /v1/orgs/acme/keys", `{"name":"other"}`},
			{"POST /v1/orgs", `{"name":"ci"}`},
		} {
			if a := h.call(other.line, h.admin, other.body, "Idempotency-Key", "k-1"); a.status != 422 || a.code() != "idempotency_mismatch" {
				h.t.Errorf("another request: %d %s", a.status, a.code())
			}
		}
		h.now = h.now.Add(25 * time.Hour)
		if a := h.must(201, "POST /v1/orgs/acme/keys", `{"name":"ci"}`, "Idempotency-Key", "k-1"); a.text == first.text {
			h.t.Error("still remembered after a day")
		}
	})
}

func TestAnIdempotencyKeyBelongsToItsCaller(t *testing.T) {
	everyHouse(t, func(h *house) {
		first := h.must(201, "POST /v1/operator-keys", `{"name":"a","scopes":["*"]}`, "Idempotency-Key", "k")
		a := h.call("POST /v1/operator-keys", first.str("key"), `{"name":"a","scopes":["*"]}`, "Idempotency-Key", "k")
		if a.status != 201 || a.str("key") == first.str("key") {
			h.t.Errorf("another caller was shown the secret: %d", a.status)
		}
	})
}

func TestARefusedCreationFreesItsKey(t *testing.T) {
	everyHouse(t, func(h *house) {
		if a := h.call("POST /v1/orgs", h.admin, `{"name":""}`, "Idempotency-Key", "k"); a.status != 400 {
			h.t.Fatalf("%d", a.status)
		}
		h.must(201, "POST /v1/orgs", `{"name":"Acme"}`, "Idempotency-Key", "k")
	})
}

func TestIdempotencyKeysAreSane(t *testing.T) {
	h := open(t, sqlite(t))
	for _, key := range []string{" ", "a b", "ä", strings.Repeat("k", 256)} {
		if a := h.call("POST /v1/orgs", h.admin, `{"name":"a"}`, "Idempotency-Key", key); a.status != 400 {
			t.Errorf("%.20q: %d %s", key, a.status, a.code())
		}
	}
}

func TestCallersAtOnceCreateOne(t *testing.T) {
	everyHouse(t, func(h *house) {
		const callers = 6
		var all sync.WaitGroup
		answers := make([]answer, callers)
		for i := range callers {
			all.Go(func() {
				answers[i] = h.call("POST /v1/orgs", h.admin, `{"name":"Acme"}`, "Idempotency-Key", "k")
			})
		}
		all.Wait()
		ids := map[string]bool{}
		for _, a := range answers {
			switch {
			case a.status == 201:
				ids[a.str("id")] = true
			case a.status == 409 && a.code() == "idempotency_in_progress" && a.header.Get("Retry-After") == "1":
			default:
				h.t.Errorf("%d %s", a.status, a.text)
			}
		}
		if len(ids) != 1 {
			h.t.Errorf("%d organizations", len(ids))
		}
	})
}

// TestAClientThatLeavesFindsItsAnswer cancels the request before it begins:
// the creation goes on, and the repetition gets its answer.
func TestAClientThatLeavesFindsItsAnswer(t *testing.T) {
	h := open(t, sqlite(t))
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "POST", "/v1/orgs", leaving{strings.NewReader(`{"name":"Acme"}`), cancel})
	r.Header.Set("Authorization", "Bearer "+h.admin)
	r.Header.Set("Idempotency-Key", "k")
	h.handler.ServeHTTP(httptest.NewRecorder(), r)
	if ctx.Err() == nil {
		t.Fatal("the client did not leave")
	}
	a := h.must(201, "POST /v1/orgs", `{"name":"Acme"}`, "Idempotency-Key", "k")
	if a.header.Get("Idempotency-Replayed") != "true" || a.str("slug") != "acme" {
		t.Errorf("%v %s", a.header, a.text)
	}
}

// leaving is a body whose client leaves once it is read.
type leaving struct {
	*strings.Reader
	leave func()
}

func (l leaving) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err != nil {
		l.leave()
	}
	return n, err
}
