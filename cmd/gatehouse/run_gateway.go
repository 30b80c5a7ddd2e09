package main

import (
	"context"
	"strconv"
	"time"

	"gatehouse/app"
	"gatehouse/app/auth"
	"gatehouse/app/limit"
	"gatehouse/app/token"
	"gatehouse/web/gateway"
	"gatehouse/web/respond"
)

// openAuth opens who signs people in, and who vouches for them elsewhere.
func (p *Program) openAuth(context.Context) (err error) {
	bounds := auth.DefaultBounds()
	bounds.Address.Attempts, bounds.Address.Window = p.config.Limits.SignIn.Requests, p.config.Limits.SignIn.Window
	p.auth = auth.New(auth.Options{Store: p.store, Counter: p.redis, Sealer: p.sealer, Now: p.now, Log: p.log, Bounds: bounds})
	p.issuers, err = token.NewIssuers(issuersOf(p.config.Identity.Issuers), token.IssuersOptions{Now: p.now, Log: p.log,
		AllowPrivate: allowPrivate(p.config.Identity.Issuers)})
	return err
}

// openLocalLimits lets this process decide over limits, and keeps those of a
// minute and longer over a restart.
func (p *Program) openLocalLimits(ctx context.Context) error {
	local := limit.NewLocal(p.now)
	p.limits, p.slots = local, limit.NewLocalSlots()
	p.onClose("rate limits", local.Close)
	persister, err := limit.Persist(ctx, local, p.store, p.log)
	if err != nil {
		return err
	}
	p.onClose("saved rate limits", persister.Close)
	return nil
}

// openSharedSlots lets replicas share what runs at once.
func (p *Program) openSharedSlots(ctx context.Context) error {
	slots := limit.NewSharedSlots(ctx, limit.SharedOptions{Scripts: p.redis, Replica: p.replica,
		OnLoss: p.config.Limits.OnLoss, Now: p.now, Log: p.log})
	p.slots = slots
	p.onClose("slots", slots.Close)
	return nil
}

// openGateway opens the data plane and lets it follow changes.
func (p *Program) openGateway(ctx context.Context) (err error) {
	if p.config.Log.Access {
		p.access = respond.NewAccessLog(p.accessWriter, p.config.Log.Format == "json")
		p.onClose("access log", func(context.Context) error { p.access.Close(); return nil })
	}
	limits := p.config.Limits
	p.gateway = gateway.New(gateway.Options{Directory: p.store, Quotas: p.quotas, Overrides: p.store, Meters: p.meterSet,
		Rates: p.rates, Secrets: p.sealer, Limits: p.limits, Addresses: p.addresses(), Slots: p.slots,
		Sockets: gateway.SocketCaps{PerAddress: limits.WebSockets.PerAddress, Total: limits.WebSockets.Total},
		Ledger:  p.ledger, Traffic: p.recorder, Tokens: p.issuers, Sessions: p.auth, Assertions: p.tokens, Touches: p.touch,
		Trusted: p.config.Gateway.TrustedProxies, Default: p.config.Upstream, XRateLimit: p.config.Gateway.XRateLimitHeaders,
		AccessLog: p.access, Now: p.now, Log: p.log})
	p.onClose("gateway", p.gateway.Close)
	if p.seen, err = p.store.LastChange(ctx); err != nil {
		return err
	}
	if err := p.gateway.Reload(ctx); err != nil {
		return err
	}
	p.store.OnChange(p.changedHere)
	return nil
}

// addresses limits what comes from one address before it is identified; nil
// when configuration switches that off.
func (p *Program) addresses() *limit.Addresses {
	c := p.config.Limits.Address
	if c.Requests == 0 {
		return nil
	}
	block := c.Block
	if block == 0 { // blocked only until the window lets one pass
		block = time.Nanosecond
	}
	return limit.NewAddresses(limit.AddressOptions{Now: p.now, Block: block, Exempt: c.Exempt,
		Limit: app.RateLimit{Name: "address", Requests: c.Requests, Window: app.Duration(c.Window)}})
}

// issuersOf reads the configured outside issuers.
func issuersOf(configured []IssuerConfig) []token.Issuer {
	var list []token.Issuer
	for i, c := range configured {
		issuer := token.Issuer{Name: "issuer-" + strconv.Itoa(i+1), Issuer: c.Issuer, JWKSURL: c.JWKSURL, JWKSFile: c.JWKSFile,
			Audiences: []string{c.Audience}, Org: app.OrgID(c.Org), ScopeClaim: c.ScopesClaim}
		if c.Org == "" {
			issuer.OrgClaim = c.OrgClaim
		}
		list = append(list, issuer)
	}
	return list
}

// allowPrivate reports whether any issuer may lie in a private network.
func allowPrivate(configured []IssuerConfig) bool {
	for _, c := range configured {
		if c.AllowPrivate {
			return true
		}
	}
	return false
}
