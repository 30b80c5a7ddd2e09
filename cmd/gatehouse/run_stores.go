package main

import (
	"context"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/app/limit"
	"gatehouse/app/token"
	"gatehouse/app/traffic"
	embedredis "gatehouse/embed/redis"
	"gatehouse/store"
	"gatehouse/store/redis"
	"gatehouse/web/tracing"
)

// openSecrets opens what seals secrets at rest.
func (p *Program) openSecrets(context.Context) error {
	key, err := installationKey(p.config)
	if err != nil {
		return err
	}
	p.sealer, err = app.NewSealer(key)
	return err
}

// openRedis starts the Redis inside the process, or reaches the configured one.
func (p *Program) openRedis(context.Context) (err error) {
	options := redis.Options{URL: p.config.Redis.URL}
	if options.URL == "" {
		if p.embedded, err = embedredis.Start(); err != nil {
			return err
		}
		p.onClose("embedded redis", func(context.Context) error { return p.embedded.Close() })
		options.Dial = p.embedded.Dial
	}
	if p.redis, err = redis.Open(options); err != nil {
		return err
	}
	p.onClose("redis", func(context.Context) error { return p.redis.Close() })
	return nil
}

// openLimits chooses who decides over rate limits: this process alone, or
// Redis for replicas.
func (p *Program) openLimits(ctx context.Context) error {
	if p.embedded != nil {
		return p.openLocalLimits(ctx)
	}
	shared := limit.NewShared(ctx, limit.SharedOptions{Scripts: p.redis, Replica: p.replica,
		OnLoss: p.config.Limits.OnLoss, Now: p.now, Log: p.log})
	p.limits = shared
	p.onClose("rate limits", shared.Close)
	return p.openSharedSlots(ctx)
}

func (p *Program) storeOptions() store.Options {
	return store.Options{DSN: p.config.Database.URL, Path: p.config.Path(storeName), Now: p.now, Log: p.log}
}

// openIdentity opens signing keys, outside issuers and signed-in people.
func (p *Program) openIdentity(ctx context.Context) (err error) {
	p.touch = keys.NewTouch(p.store)
	p.onClose("last use of keys", p.touch.Flush)
	identity := p.config.Identity
	p.tokens, err = token.Open(ctx, token.Options{Store: p.store, Sealer: p.sealer, Now: p.now, Log: p.log,
		Issuer: identity.Assertion.Issuer, Audience: identity.Assertion.Audience, Algorithm: identity.Assertion.Algorithm,
		Life: identity.Assertion.TTL, RotateEvery: identity.Rotation})
	if err != nil {
		return err
	}
	return p.openAuth(ctx)
}

// openTraffic begins to watch traffic.
func (p *Program) openTraffic(context.Context) error {
	p.recorder = traffic.New(p.now)
	p.view = &traffic.View{Recorder: p.recorder, Past: &traffic.History{Store: p.store, Replica: p.replica}}
	return nil
}

// openTracing sends traces where configuration says; nowhere by default.
func (p *Program) openTracing(ctx context.Context) (err error) {
	p.tracing, err = tracing.Open(ctx, tracing.Options{Endpoint: p.config.Tracing.Endpoint, Ratio: p.config.Tracing.Sample, Version: version})
	if err != nil {
		return err
	}
	p.onClose("tracing", p.tracing.Close)
	return nil
}
