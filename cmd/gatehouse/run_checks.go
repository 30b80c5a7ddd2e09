package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/app"
	"gatehouse/web/console"
	"gatehouse/web/gateway"
	"gatehouse/web/wellknown"
)

// checks are what /readyz, the console and the API ask.
func (p *Program) checks() []wellknown.Check {
	return []wellknown.Check{
		{Name: "store", Func: p.store.Ping},
		{Name: "ledger", Func: func(context.Context) error { return p.ledger.Ready() }},
		{Name: "events", Optional: true, Func: func(context.Context) error { return p.events.Ready() }},
		{Name: "ledger_proof", Optional: true, Func: p.checkProof},
		// Limits say themselves what they do while Redis is away (on_loss).
		{Name: "redis", Optional: true, Func: func(ctx context.Context) error { _, err := p.redis.Ping(ctx); return err }},
		{Name: "rate_limits", Optional: true, Func: p.checkLimits},
		{Name: "upstreams", Optional: true, Func: p.checkUpstreams},
		{Name: "issuers", Optional: true, Func: p.checkIssuers},
	}
}

// checkProof fails when the last proof of the ledger found a fault, or could
// not be made.
func (p *Program) checkProof(context.Context) error {
	proof, _, err := p.verifier.Last()
	if err == nil && !proof.OK() {
		err = &app.Error{Kind: app.KindUnavailable, Code: "ledger_unproven",
			Message: "The usage ledger contradicts itself in " + strconv.FormatInt(proof.Faulty, 10) + " places."}
	}
	return err
}

func (p *Program) checkLimits(context.Context) error {
	if stats := p.limits.Stats(); stats.Degraded() {
		return &app.Error{Kind: app.KindUnavailable, Code: "limits_degraded",
			Message: "Rate limits are decided without Redis since " + stats.DegradedSince.UTC().Format("15:04:05 MST") + "."}
	}
	return nil
}

// checkUpstreams fails when an upstream has no healthy address.
func (p *Program) checkUpstreams(context.Context) error {
	var down []string
	for name, addresses := range p.gateway.Upstreams() {
		healthy := false
		for _, address := range addresses {
			healthy = healthy || address.Healthy
		}
		if !healthy {
			down = append(down, name)
		}
	}
	if len(down) == 0 {
		return nil
	}
	slices.Sort(down)
	return &app.Error{Kind: app.KindUnavailable, Code: "upstream_down", Message: "No address answers of: " + strings.Join(down, ", ") + "."}
}

func (p *Program) checkIssuers(context.Context) error {
	var failed []error
	for name, err := range p.issuers.Ready() {
		if err != nil {
			failed = append(failed, &app.Error{Kind: app.KindUnavailable, Code: "issuer_keys", Err: err,
				Message: "The public keys of the issuer " + name + " cannot be read."})
		}
	}
	return errors.Join(failed...)
}

func consoleChecks(results []wellknown.CheckResult) []console.Check {
	var list []console.Check
	for _, result := range results {
		check := console.Check{Name: result.Name}
		if !result.OK {
			check.Err = errors.New(result.Message)
		}
		list = append(list, check)
	}
	return list
}

// collectors are the program's own metrics.
func (p *Program) collectors() []prometheus.Collector {
	gauge := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
	}
	counter := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read)
	}
	return []prometheus.Collector{
		&gateway.Metrics{Traffic: p.recorder, Gateway: p.gateway},
		p.metrics,
		counter("gatehouse_ledger_commits_total", "Blocks that the ledger made durable.", func() float64 { return float64(p.ledger.Stats().Blocks) }),
		counter("gatehouse_ledger_requests_total", "Requests that the ledger counted.", func() float64 { return float64(p.ledger.Stats().Requests) }),
		counter("gatehouse_events_total", "Events that are counted.", func() float64 { return float64(p.events.Stats().Events) }),
		gauge("gatehouse_ledger_faults", "Contradictions that the last proof of the ledger found.", p.faults),
		gauge("gatehouse_ledger_stalled", "1 while the ledger cannot write.", func() float64 { return oneIf(p.ledger.Ready() != nil) }),
		gauge("gatehouse_limits_degraded", "1 while rate limits are decided without Redis.", func() float64 { return oneIf(p.limits.Stats().Degraded()) }),
		counter("gatehouse_limits_passed_open_total", "Requests passed because Redis was away.", func() float64 { return float64(p.limits.Stats().PassedOpen) }),
		counter("gatehouse_limits_refused_closed_total", "Requests refused because Redis was away.", func() float64 { return float64(p.limits.Stats().RefusedClosed) }),
		gauge("gatehouse_limit_cells", "Rate-limit cells known to this process.", func() float64 { return float64(p.limits.Stats().Cells) }),
	}
}

func (p *Program) faults() float64 {
	proof, _, _ := p.verifier.Last()
	return float64(proof.Faulty)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
