package main

import (
	"context"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// usageParts count, cap and pass on what organizations use.
type usageParts struct {
	ledgerStore  *store.Ledger
	ledger       *metering.Ledger // of requests
	events       *metering.Events // of the operator's app
	meterSet     *metering.Meters
	verifier     *metering.Verifier
	quotas       *quota.Engine
	quotaDesk    *quota.Service
	reservations *quota.Reservations
	exports      []func(context.Context) // send usage elsewhere, where that is configured
	replicas     atomic.Int64            // that share the quotas, at the last look
}

// node names this process for people.
func node() string {
	host, _ := os.Hostname() // for people alone
	return host + ":" + strconv.Itoa(os.Getpid())
}

// openLedger opens the durable count of requests.
func (p *Program) openLedger(ctx context.Context) (err error) {
	p.ledgerStore, err = store.OpenLedger(ctx, p.storeOptions())
	if err != nil {
		return err
	}
	p.onClose("ledger store", func(context.Context) error { return p.ledgerStore.Close() })
	p.ledger, err = metering.Open(ctx, metering.Options{Store: p.ledgerStore, Node: node(),
		Sync: p.config.Ledger.Sync, MaxDelay: p.config.Ledger.MaxDelay, Now: p.now, Log: p.log})
	if err != nil {
		return err
	}
	p.onClose("ledger", p.ledger.Close)
	p.meterSet = p.meters()
	p.usage = &metering.Reports{Store: p.ledgerStore, Meters: p.meterSet}
	p.verifier = &metering.Verifier{Store: p.ledgerStore, Every: p.config.Ledger.VerifyEvery,
		WholeEvery: p.config.Ledger.VerifyAllEvery, Clock: p.now, Log: p.log}
	return p.meterSet.Load(ctx)
}

// openQuotas opens what caps usage. Its books are the gateway's, which is
// opened later: nobody asks for one before.
func (p *Program) openQuotas(ctx context.Context) error {
	p.replicas.Store(1)
	books := func(ctx context.Context, id app.OrgID) (*quota.Book, error) { return p.gateway.QuotaBook(ctx, id) }
	p.quotas = quota.New(quota.Options{Store: p.ledgerStore, Replica: p.ledger.Replica, Alive: p.ledger.Alive,
		Replicas: func() int { return int(p.replicas.Load()) }, Opening: p.uncharged(p.ledgerStore, p.now), Books: books,
		Suspender: p.orgs, OnNotice: p.noticed, UpgradeURL: p.config.Quota.UpgradeURL, Now: p.now, Log: p.log})
	p.onClose("quotas", p.quotas.Close)
	p.quotaDesk = &quota.Service{Overrides: p.store, States: p.ledgerStore, Orgs: p.store, Books: books, Opening: p.openings(p.ledgerStore, p.now),
		Meter: p.meter, Now: p.now}
	return p.rates.Load(ctx)
}

// noticed hears that an organization passed a threshold of a quota.
func (p *Program) noticed(n app.QuotaNotice) {
	p.log.Warn("quota passed a threshold", "org", n.Org, "key", n.Key, "meter", n.Meter, "period", n.Period,
		"percent", n.Threshold, "used", n.Used, "limit", n.Limit)
}

// openEvents opens the count of what the operator's app reports, and the
// reservations that end in it.
func (p *Program) openEvents(ctx context.Context) (err error) {
	p.events, err = metering.OpenEvents(ctx, metering.EventsOptions{Store: p.ledgerStore, Node: node(), Draws: p.quotas.EventDraws, Now: p.now, Log: p.log})
	if err != nil {
		return err
	}
	p.onClose("events", p.events.Close)
	p.reservations = &quota.Reservations{Store: p.ledgerStore, Engine: p.quotas, Events: p.events, Orgs: p.store, Meter: p.meter, Now: p.now, Log: p.log}
	return nil
}

// openExports opens what sends usage elsewhere, where that is configured.
func (p *Program) openExports(ctx context.Context) (err error) {
	p.exports, err = p.exportWorkers(ctx, p.meter)
	return err
}

// meter finds a meter on behalf of the program itself.
func (p *Program) meter(ctx context.Context, slug string) (app.Meter, error) {
	return p.meterSet.Find(ctx, system, slug)
}

// system is who the program itself is.
var system = app.Actor{Kind: app.ActorSystem}

// usageWorkers run beside the servers.
func (p *Program) usageWorkers() []func(context.Context) {
	return append([]func(context.Context){p.verifier.Run, p.quotas.Run, p.quotas.RunPruning, p.reservations.Run, p.countReplicas}, p.exports...)
}

// countReplicas follows how many processes share the quotas.
func (p *Program) countReplicas(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		if n, err := p.ledgerStore.LiveReplicas(ctx, metering.DefaultDeadAfter); err == nil {
			p.replicas.Store(int64(max(1, n)))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// errFenced is why a program ends that others took for dead.
var errFenced = &app.Error{Kind: app.KindUnavailable, Code: "ledger_fenced",
	Message: "This process was silent for so long that other replicas have settled what it left; it may count no more.",
	Advice:  "Start it again (a supervisor does), and look why it stood still."}

// endWhenFenced ends the program when it may count no more: whoever supervises
// it starts another.
func (p *Program) endWhenFenced(ctx context.Context, end context.CancelCauseFunc) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if p.ledger.Fenced() || p.events.Fenced() {
			end(errFenced)
			return
		}
	}
}

// usageChanged takes in a change of what is counted and what it costs.
func (p *Program) usageChanged(ctx context.Context, noun string) error {
	switch noun {
	case "meter":
		return p.meterSet.Load(ctx)
	case "rate":
		return p.rates.Load(ctx)
	}
	return nil
}
