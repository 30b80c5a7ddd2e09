package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/app/keys"
	"gatehouse/app/limit"
	"gatehouse/app/token"
	"gatehouse/app/traffic"
	embedredis "gatehouse/embed/redis"
	"gatehouse/store/redis"
	"gatehouse/web"
	"gatehouse/web/gateway"
	"gatehouse/web/respond"
	"gatehouse/web/tracing"
	"gatehouse/web/wellknown"
)

// Program is the whole of Gatehouse as a value: serve, demo and the end-to-end
// tests open one, run it, and close it.
type Program struct {
	*installation
	usageParts
	log     *slog.Logger
	now     func() time.Time
	started time.Time
	replica string // this run's name among replicas

	sealer       *app.Sealer
	redis        *redis.Client
	embedded     *embedredis.Server // nil: Redis is configured
	limits       limit.Authority
	slots        limit.Slots
	recorder     *traffic.Recorder
	view         *traffic.View
	touch        *keys.Touch
	tokens       *token.Service
	issuers      *token.Issuers
	auth         *auth.Service
	access       *respond.AccessLog
	accessWriter io.Writer
	tracing      *tracing.Tracing
	metrics      *wellknown.SurfaceMetrics
	gateway      *gateway.Gateway
	server       *web.Server

	claimed atomic.Bool // the console has an operator

	seen int64         // the newest change taken in
	own  sync.Map      // Seq of changes made here, taken in already
	look chan struct{} // look for changes now

	closers []closer // in the order of opening
}

type closer struct {
	name  string
	close func(context.Context) error
}

// programOptions are what a program takes from its caller beside the
// configuration.
type programOptions struct {
	Log    *slog.Logger
	Access io.Writer        // where the access log goes
	Now    func() time.Time // nil: time.Now
}

// Open opens everything and listens; nothing is served before Run. On an error
// whatever was opened is closed again.
func Open(ctx context.Context, config *Config, o programOptions) (p *Program, err error) {
	p = &Program{metrics: wellknown.NewSurfaceMetrics(), log: o.Log, now: o.Now, accessWriter: o.Access, look: make(chan struct{}, 1)}
	if p.now == nil {
		p.now = time.Now
	}
	p.started, p.replica = p.now(), app.NewID("run", p.now())
	defer func() {
		if err != nil {
			p.Close()
			p = nil
		}
	}()
	p.installation, err = openInstallation(ctx, config, p.now, true)
	if err != nil {
		return p, err
	}
	p.onClose("store", func(context.Context) error { return p.store.Close() })
	for _, open := range []func(context.Context) error{p.openSecrets, p.openRedis, p.openLimits, p.openLedger,
		p.openQuotas, p.openEvents, p.openExports, p.openIdentity, p.openTraffic, p.openTracing, p.openGateway, p.openServer} {
		if err := open(ctx); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *Program) onClose(name string, close func(context.Context) error) {
	p.closers = append(p.closers, closer{name, close})
}

// closeTimeout bounds how long one part may take to end.
const closeTimeout = 10 * time.Second

// Close ends what Open opened, the last first. It may be called more than once.
func (p *Program) Close() error {
	var failed []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		if err := p.closers[i].close(ctx); err != nil {
			failed = append(failed, errors.Join(errors.New("close "+p.closers[i].name), err))
		}
		cancel()
	}
	p.closers = nil
	return errors.Join(failed...)
}

// Run serves until the context ends, then drains: open requests may finish
// within the configured time. Cancel force to cut them short. It also ends,
// with an error, when other replicas have taken this one for dead.
func (p *Program) Run(ctx, force context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	var workers sync.WaitGroup
	for _, work := range p.workers() {
		workers.Go(func() { work(working) })
	}
	workers.Go(func() { p.endWhenFenced(working, end) })
	err := p.server.Run(ctx, force)
	stop()
	workers.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, errFenced) {
		return cause
	}
	return err
}

// workers run beside the servers until they have drained.
func (p *Program) workers() []func(context.Context) {
	return append(p.usageWorkers(),
		p.followChanges,
		p.followNotices,
		p.tokens.Run,
		p.issuers.Run,
		func(ctx context.Context) { p.touch.Run(ctx, p.log) },
		p.tickTraffic,
		p.auth.Run,
	)
}

const trafficSaveEvery = 10 * time.Second

// tickTraffic moves traffic into its rings each second, and to the store.
func (p *Program) tickTraffic(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	saved := p.now()
	for {
		select {
		case <-ctx.Done():
			p.recorder.Tick()
			p.saveTraffic(context.WithoutCancel(ctx))
			return
		case <-second.C:
			p.recorder.Tick()
		}
		if now := p.now(); now.Sub(saved) >= trafficSaveEvery {
			saved = now
			p.saveTraffic(ctx)
		}
	}
}

func (p *Program) saveTraffic(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if err := p.recorder.Save(ctx, p.view.Past); err != nil {
		p.log.Warn("traffic not saved, will try again", "err", err)
	}
}
