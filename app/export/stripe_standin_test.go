package export_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app/export"
)

// outcome is what the stand-in does with a request that it could take.
type outcome int

const (
	takes        outcome = iota
	limits               // 429, not executed
	breaksBefore         // 500, kept under the idempotency key
	breaksAfter          // 500 although it took the event
	away                 // 503 without having looked
	hangsUp              // the connection ends, not executed
	forgets              // took it, and the connection ends before the answer
	outcomes
)

// standIn speaks what Stripe documents of POST /v1/billing/meter_events: see
// https://docs.stripe.com/api/billing/meter-event/create, …/idempotent_requests,
// …/errors and …/billing/subscriptions/usage-based/recording-usage-api.
type standIn struct {
	*httptest.Server
	now    func() time.Time
	choose func(identifier string) outcome // of each request that could be taken

	mu        sync.Mutex
	secret    string
	customers map[string]bool
	taken     map[string]taken  // by identifier
	answers   map[string]answer // by idempotency key
	running   map[string]bool   // customer and meter
	faults    []string          // what a client must not do
	requests  int
}

type taken struct {
	event, customer string
	value           int64
	at, received    time.Time
}

type answer struct {
	params string
	status int
	body   string
}

func newStandIn(t *testing.T, now func() time.Time, choose func(string) outcome) *standIn {
	s := &standIn{now: now, choose: choose, secret: "sk_test_1", customers: map[string]bool{}, taken: map[string]taken{},
		answers: map[string]answer{}, running: map[string]bool{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *standIn) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

func refusal(kind, code, message string) string {
	body, _ := json.Marshal(map[string]any{"error": map[string]string{"type": kind, "code": code, "message": message}})
	return string(body)
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	lane := r.PostForm.Get("payload[stripe_customer_id]") + " " + r.PostForm.Get("event_name")
	s.mu.Lock()
	s.requests++
	if s.running[lane] {
		s.fault("two requests at once of %s", lane)
	}
	s.running[lane] = true
	s.mu.Unlock()
	a, hangUp := s.serve(r)
	s.mu.Lock()
	s.running[lane] = false
	s.mu.Unlock()
	if hangUp {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	fmt.Fprint(w, a.body)
}

func (s *standIn) serve(r *http.Request) (a answer, hangUp bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != "POST" || r.URL.Path != "/v1/billing/meter_events" {
		return answer{status: 404, body: refusal("invalid_request_error", "", "Unrecognized request URL")}, false
	}
	if r.Header.Get("Authorization") != "Bearer "+s.secret {
		return answer{status: 401, body: refusal("invalid_request_error", "", "Invalid API Key provided")}, false
	}
	if r.Header.Get("Stripe-Version") != export.StripeVersion {
		s.fault("version %q", r.Header.Get("Stripe-Version"))
	}
	key, params := r.Header.Get("Idempotency-Key"), r.PostForm.Encode()
	if key == "" || len(key) > 255 {
		s.fault("idempotency key %q", key)
	}
	if before, known := s.answers[key]; known {
		if before.params != params {
			return answer{status: 400, body: refusal("idempotency_error", "", "Keys for idempotent requests can only be used with the same parameters they were first used with.")}, false
		}
		return before, false
	}
	what := s.choose(r.PostForm.Get("identifier"))
	switch what {
	case limits:
		return answer{status: 429, body: refusal("rate_limit_error", "rate_limit", "Too many requests")}, false
	case away:
		return answer{status: 503, body: "<html>"}, false
	case hangsUp:
		return a, true
	case breaksBefore:
		a = answer{status: 500, body: refusal("api_error", "", "Sorry")}
	default:
		a = s.take(r.PostForm)
		if what == breaksAfter {
			a = answer{status: 500, body: refusal("api_error", "", "Sorry")}
		}
	}
	a.params = params
	s.answers[key] = a
	return a, what == forgets
}

// take validates and executes.
func (s *standIn) take(form url.Values) answer {
	invalid := func(code, format string, args ...any) answer {
		return answer{status: 400, body: refusal("invalid_request_error", code, fmt.Sprintf(format, args...))}
	}
	for name := range form {
		switch name {
		case "event_name", "identifier", "timestamp", "payload[stripe_customer_id]", "payload[value]":
		default:
			return invalid("parameter_unknown", "Received unknown parameter: %s", name)
		}
	}
	id, customer := form.Get("identifier"), form.Get("payload[stripe_customer_id]")
	value, wrong := strconv.ParseInt(form.Get("payload[value]"), 10, 64)
	seconds, late := strconv.ParseInt(form.Get("timestamp"), 10, 64)
	at := time.Unix(seconds, 0)
	before, known := s.taken[id]
	switch {
	case id == "" || len(id) > 100:
		return invalid("", "Invalid identifier")
	case !strings.HasPrefix(form.Get("event_name"), "stripe_") || len(form.Get("event_name")) > 100:
		return invalid("no_meter", "No active meter found for event name %s", form.Get("event_name"))
	case wrong != nil:
		return invalid("", "payload[value] must be a whole number")
	case late != nil || s.now().Sub(at) > 35*24*time.Hour || at.Sub(s.now()) > 5*time.Minute:
		return invalid("timestamp_too_far_in_past", "The timestamp is out of range")
	case !s.customers[customer]:
		return invalid("resource_missing", "No such customer: '%s'", customer)
	case known && s.now().Sub(before.received) < 24*time.Hour:
		return invalid("", "An event already exists with identifier %s.", id)
	case known:
		s.fault("%s was taken twice", id)
	}
	s.taken[id] = taken{form.Get("event_name"), customer, value, at, s.now()}
	return answer{status: 200, body: `{"object":"billing.meter_event","identifier":"` + id + `"}`}
}

// total is what a customer is billed for.
func (s *standIn) total(event, customer string) (sum int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.taken {
		if e.event == event && e.customer == customer {
			sum += e.value
		}
	}
	return sum
}
