package wellknown

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"gatehouse/app"
	"gatehouse/web/respond"
)

// Bounds of the readiness checks.
const (
	checkTimeout = 2 * time.Second // a check that takes longer has failed
	checkLife    = 1 * time.Second // one run answers everyone who asks meanwhile
)

// Check is one thing that the gate needs. Func returns nil when it is well; an
// *app.Error's Message is shown, any other error only logged. A check that is
// Optional is named when it fails, and leaves the gate ready.
type Check struct {
	Name     string
	Optional bool
	Func     func(ctx context.Context) error
}

// CheckResult is what one check found.
type CheckResult struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Optional bool   `json:"optional,omitempty"`
	Message  string `json:"message,omitempty"`
}

// Readiness runs the checks. Fill the fields, then share it.
type Readiness struct {
	Checks []Check
	Log    *slog.Logger
	Now    func() time.Time

	mu      sync.Mutex
	at      time.Time
	results []CheckResult
}

// Results runs all checks side by side, or returns what a run within the last
// second found. It logs when a check begins or ceases to fail.
func (x *Readiness) Results(ctx context.Context) []CheckResult {
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := x.Now(); x.results == nil || now.Sub(x.at) >= checkLife || now.Before(x.at) {
		fresh := x.run(context.WithoutCancel(ctx)) // one asker's leaving must not fail the others
		x.at, x.results = x.Now(), fresh
	}
	return x.results
}

func (x *Readiness) run(ctx context.Context) []CheckResult {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	found := make([]CheckResult, len(x.Checks))
	faults := make([]error, len(x.Checks))
	var all sync.WaitGroup
	for i, check := range x.Checks {
		all.Go(func() { faults[i] = runCheck(ctx, check) })
	}
	all.Wait()
	for i, check := range x.Checks {
		found[i] = CheckResult{Name: check.Name, OK: faults[i] == nil, Optional: check.Optional, Message: messageOf(faults[i])}
		x.report(i, found[i], faults[i])
	}
	return found
}

var errSlow = &app.Error{Kind: app.KindTimeout, Code: "check_slow", Message: "It did not answer within 2 seconds."}

// runCheck keeps a check that ignores its context from holding up the answer.
func runCheck(ctx context.Context, check Check) error {
	done := make(chan error, 1)
	go func() { done <- check.Func(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errSlow
	}
}

func messageOf(err error) string {
	var known *app.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &known) && known.Kind != app.KindInternal:
		return known.Message
	}
	return "It failed; the log says why."
}

// report logs a change from the last run.
func (x *Readiness) report(i int, result CheckResult, fault error) {
	before := len(x.results) <= i || x.results[i].OK
	switch {
	case before && !result.OK:
		x.Log.Warn("readiness check failed", "check", result.Name, "error", fault)
	case !before && result.OK:
		x.Log.Info("readiness check is well again", "check", result.Name)
	}
}

// Ready reports whether every check that is not optional is well.
func Ready(results []CheckResult) bool {
	for _, r := range results {
		if !r.OK && !r.Optional {
			return false
		}
	}
	return true
}

// ServeHTTP answers 200 when the gate is ready, else 503, with every check by
// name either way.
func (x *Readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	results := x.Results(r.Context())
	status, word := http.StatusOK, "ready"
	if !Ready(results) {
		status, word = http.StatusServiceUnavailable, "not_ready"
	}
	respond.JSON(w, status, struct {
		Status string        `json:"status"`
		Checks []CheckResult `json:"checks"`
	}{word, results})
}
