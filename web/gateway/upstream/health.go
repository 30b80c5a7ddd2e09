package upstream

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// Passive ejection: after so many failed requests in a row an address is left
// out, first briefly, then longer. It is never the last one left (see choose).
const (
	ejectAfter   = 3
	ejectFirst   = 2 * time.Second
	ejectLongest = time.Minute
)

// health is what is known of one address.
type health struct {
	down      atomic.Bool  // active checks say so
	ejected   atomic.Int64 // Unix nanoseconds until which failed requests leave it out
	troubled  atomic.Bool  // some request failed since the last good one: spares good ones the mutex
	mu        sync.Mutex
	inARow    int // failed requests
	ejections int // in a row, for the growing pause
	good, bad int64
	lastErr   string
	lastErrAt time.Time
	lastCheck time.Time
	checkTook time.Duration
}

// usable reports whether the address may be chosen: by checks, by requests.
func (h *health) usable(now func() time.Time) (up, free bool) {
	till := h.ejected.Load()
	return !h.down.Load(), till == 0 || till <= now().UnixNano()
}

func (h *health) success() {
	if !h.troubled.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inARow, h.ejections = 0, 0
	h.ejected.Store(0)
	h.troubled.Store(false)
}

func (h *health) failure(err error, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.troubled.Store(true)
	h.lastErr, h.lastErrAt = err.Error(), now
	h.inARow++
	if h.inARow < ejectAfter || h.ejected.Load() > now.UnixNano() {
		return
	}
	pause := min(ejectFirst<<min(h.ejections, 10), ejectLongest)
	h.ejections++
	h.ejected.Store(now.Add(pause).UnixNano())
}

// note keeps an error for the eye alone.
func (h *health) note(err error, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastErr, h.lastErrAt = err.Error(), now
}

// checked notes the result of an active check and reports a change.
func (h *health) checked(err error, took time.Duration, now time.Time, hc app.HealthCheck) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastCheck, h.checkTook = now, took
	if err != nil {
		h.good, h.bad = 0, h.bad+1
		h.lastErr, h.lastErrAt = err.Error(), now
		if h.bad >= positive64(hc.Unhealthy, 3) {
			return !h.down.Swap(true)
		}
		return false
	}
	h.good, h.bad = h.good+1, 0
	if h.down.Load() && h.good >= positive64(hc.Healthy, 2) {
		h.inARow, h.ejections = 0, 0
		h.ejected.Store(0)
		return h.down.Swap(false)
	}
	return false
}

func positive64(value, otherwise int64) int64 {
	if value > 0 {
		return value
	}
	return otherwise
}

func (h *health) fill(s *AddressStatus, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	up, free := h.usable(func() time.Time { return now })
	s.Healthy = up && free
	if !free {
		s.EjectedTill = time.Unix(0, h.ejected.Load())
	}
	s.LastError, s.LastErrorAt, s.LastCheck, s.CheckTook = h.lastErr, h.lastErrAt, h.lastCheck, h.checkTook
}

// startChecks asks each address in turn, one goroutine per address, until ctx
// is done. Without a health check none runs.
func (g *generation) startChecks(ctx context.Context, p *Pool) {
	if g.upstream.Health == nil {
		return
	}
	client := &http.Client{Transport: g.transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	for _, a := range g.addresses {
		g.checks.Go(func() { g.checkLoop(ctx, p, a, client) })
	}
}

func (g *generation) checkLoop(ctx context.Context, p *Pool, a *address, client *http.Client) {
	hc := *g.upstream.Health
	ticker := time.NewTicker(positive(hc.Interval.Std(), 5*time.Second))
	defer ticker.Stop()
	for {
		start := time.Now()
		err := g.check(ctx, a, client, hc)
		if ctx.Err() != nil {
			return
		}
		if a.health.checked(err, time.Since(start), p.options.Now(), hc) {
			logChange(p.options.Log, g.upstream.Name, a.name, err)
			p.gate.wake()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func logChange(log *slog.Logger, upstream, address string, err error) {
	if err == nil {
		log.Info("upstream address is healthy", "upstream", upstream, "address", address)
		return
	}
	log.Warn("upstream address is down", "upstream", upstream, "address", address, "error", err)
}

// check asks once; 2xx and 3xx are healthy.
func (g *generation) check(ctx context.Context, a *address, client *http.Client, hc app.HealthCheck) error {
	ctx, cancel := context.WithTimeout(ctx, positive(hc.Timeout.Std(), 2*time.Second))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.scheme+"://"+a.origin+hc.Path, nil)
	if err != nil {
		return err
	}
	r.Host = g.upstream.HostHeader
	r.Header.Set("User-Agent", "Gatehouse-HealthCheck")
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	io.CopyN(io.Discard, answer.Body, 64<<10) // so that the connection can be kept
	if answer.StatusCode < 200 || answer.StatusCode > 399 {
		return fmt.Errorf("health check answered %d", answer.StatusCode)
	}
	return nil
}
