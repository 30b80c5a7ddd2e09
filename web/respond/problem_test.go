package respond_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/web/respond"
)

func TestProblemStatus(t *testing.T) {
	for _, row := range []struct {
		kind app.Kind
		code string
		want int
	}{
		{app.KindInternal, "internal", 500},
		{app.KindInvalid, "invalid_input", 400},
		{app.KindUnauthenticated, "key_invalid", 401},
		{app.KindForbidden, "forbidden", 403},
		{app.KindNotFound, "not_found", 404},
		{app.KindConflict, "slug_taken", 409},
		{app.KindConflict, respond.CodeIdempotencyMismatch, 422},
		{app.KindInvalid, respond.CodeUnsupportedMediaType, 415},
		{app.KindTooLarge, "body_too_large", 413},
		{app.KindPayment, "quota_exhausted", 402},
		{app.KindRateLimited, "rate_limited", 429},
		{app.KindUnavailable, "ledger_unavailable", 503},
		{app.KindTimeout, "upstream_timeout", 504},
		{app.KindBadGateway, "upstream_unreachable", 502},
		{app.KindMethod, "method_not_allowed", 405},
		{app.Kind(200), "from_the_future", 500},
	} {
		w := httptest.NewRecorder()
		respond.Problem(w, httptest.NewRequest("GET", "/", nil), &app.Error{Kind: row.kind, Code: row.code})
		if w.Code != row.want {
			t.Errorf("%s: status %d, want %d", row.code, w.Code, row.want)
		}
		if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s: content type %q", row.code, got)
		}
	}
}

func TestProblemDocument(t *testing.T) {
	resets := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "req_7")
	w.Header().Set("Content-Length", "3")
	respond.Problem(w, httptest.NewRequest("GET", "/", nil), &app.Error{
		Kind: app.KindRateLimited, Code: "rate_limited", Message: "10 requests a minute\nare <allowed> \"here\" \xff.",
		Advice: "Wait.", RetryAfter: 1500 * time.Millisecond,
		Limit:  &app.LimitDetail{Name: "minute", Scope: "key", Limit: 10, WindowSec: 60, ResetsAt: resets},
		Fields: []app.FieldError{{Field: "rate_limits[0].window", Message: "must be longer"}, {Field: "b", Message: "c"}},
		Err:    errors.New("password=hunter2"),
	})
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, w.Body)
	}
	want := `{"advice":"Wait.","code":"rate_limited","detail":"10 requests a minute\nare \u003callowed\u003e \"here\" ` + "\ufffd" + `.",` +
		`"errors":[{"field":"rate_limits[0].window","message":"must be longer"},{"field":"b","message":"c"}],` +
		`"limit":{"limit":10,"name":"minute","remaining":0,"resets_at":"2026-11-24T09:00:00Z","scope":"key","window_seconds":60},` +
		`"request_id":"req_7","status":429,"title":"Rate limited","type":"urn:gatehouse:error:rate_limited"}`
	if text, _ := json.Marshal(got); string(text) != want {
		t.Errorf("document\n%s\nwant\n%s", text, want)
	}
	if got := w.Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After %q, want 2 (rounded up)", got)
	}
	if w.Header().Get("Content-Length") != "" {
		t.Error("a length of another body was kept")
	}
}

// What a quota refuses, says which, how much of it is used, and what to do.
func TestProblemOfAQuota(t *testing.T) {
	w := httptest.NewRecorder()
	respond.Problem(w, httptest.NewRequest("GET", "/", nil), exhausted)
	var got struct{ Quota app.QuotaDetail }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusPaymentRequired {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if got.Quota != *exhausted.Quota {
		t.Errorf("quota %+v, want %+v", got.Quota, *exhausted.Quota)
	}
}

var exhausted = &app.Error{Kind: app.KindPayment, Code: "quota_exhausted", Message: "The month's requests are used up.",
	Quota: &app.QuotaDetail{Meter: "requests", Scope: "organization", Period: app.PeriodMonth, Limit: 100, Used: 98, Reserved: 1,
		Wanted: 3, ResetsAt: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), UpgradeAt: "https://app.example/plans"}}

func TestProblemHidesCauses(t *testing.T) {
	w := httptest.NewRecorder()
	respond.Problem(w, httptest.NewRequest("GET", "/", nil), errors.New("dial tcp 10.0.0.7: secret"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "10.0.0.7") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w.Header().Get("X-Request-Id") == "" {
		t.Error("no request id")
	}
}

func TestProblemChallenges(t *testing.T) {
	w := httptest.NewRecorder()
	respond.Problem(w, httptest.NewRequest("GET", "/", nil), &app.Error{Kind: app.KindUnauthenticated, Code: "key_missing"})
	if got := w.Header().Get("WWW-Authenticate"); got != `Bearer realm="gatehouse"` {
		t.Errorf("challenge %q", got)
	}
}

func TestProblemToHeadHasNoBody(t *testing.T) {
	w := httptest.NewRecorder()
	respond.Problem(w, httptest.NewRequest("HEAD", "/", nil), app.NotFound("key"))
	if w.Code != 404 || w.Body.Len() != 0 {
		t.Errorf("%d with %d bytes", w.Code, w.Body.Len())
	}
}

func TestRetryAfter(t *testing.T) {
	for _, row := range []struct {
		d    time.Duration
		want string
	}{{-time.Second, "0"}, {time.Millisecond, "1"}, {time.Second, "1"}, {600 * time.Second, "600"},
		{600*time.Second + 1, "601"}, {30 * 24 * time.Hour, "2592000"}} {
		if got := respond.RetryAfter(row.d); len(got) != 1 || got[0] != row.want {
			t.Errorf("%v: %q, want %s", row.d, got, row.want)
		}
	}
}

func TestRequestID(t *testing.T) {
	for _, row := range []struct {
		name    string
		brought []string
		kept    bool
	}{
		{"none", nil, false},
		{"a UUID", []string{"0190b6f4-9e5b-7c3a-8d53-02a1c0ffee00"}, true},
		{"a trace id", []string{"Root=1-67891233-abcdef012345678912345678"}, true},
		{"too long", []string{strings.Repeat("a", 65)}, false},
		{"empty", []string{""}, false},
		{"log injection", []string{"a\nlevel=ERROR"}, false},
		{"markup", []string{"<script>"}, false},
		{"two of them", []string{"a", "b"}, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Request-Id"] = row.brought
		w := httptest.NewRecorder()
		id := respond.AssignRequestID(w, r)
		if kept := len(row.brought) == 1 && id == row.brought[0]; kept != row.kept {
			t.Errorf("%s: got %q, kept %v", row.name, id, kept)
		}
		if respond.RequestID(w) != id {
			t.Errorf("%s: the header says %q", row.name, respond.RequestID(w))
		}
	}
	if a, b := respond.NewRequestID(), respond.NewRequestID(); a == b || len(a) != 28 || !strings.HasPrefix(a, "req_") {
		t.Errorf("ids %q and %q", a, b)
	}
}

type nothing struct{ header http.Header }

func (n *nothing) Header() http.Header         { return n.header }
func (n *nothing) Write(p []byte) (int, error) { return len(p), nil }
func (n *nothing) WriteHeader(int)             {}

var flood = &app.Error{Kind: app.KindRateLimited, Code: "rate_limited", Message: "At most 10 requests a minute.",
	Advice: "Wait and try again.", RetryAfter: 6 * time.Second,
	Limit: &app.LimitDetail{Name: "minute", Scope: "key", Limit: 10, WindowSec: 60, ResetsAt: time.Unix(1e9, 0)}}

func TestProblemAllocatesNothing(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	w := &nothing{http.Header{"X-Request-Id": {"req_1"}}}
	respond.Problem(w, r, flood)
	if n := testing.AllocsPerRun(200, func() { respond.Problem(w, r, exhausted) }); n >= 1 {
		t.Errorf("%v allocations to refuse for a quota, want 0", n)
	}
	if n := testing.AllocsPerRun(200, func() { respond.Problem(w, r, flood) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkProblem(b *testing.B) {
	r := httptest.NewRequest("GET", "/", nil)
	w := &nothing{http.Header{"X-Request-Id": {"req_1"}}}
	b.ReportAllocs()
	for b.Loop() {
		respond.Problem(w, r, flood)
	}
}
