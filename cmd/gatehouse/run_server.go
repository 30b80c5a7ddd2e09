package main

import (
	"context"
	"errors"
	"net"
	"net/http"

	"gatehouse/app"
	"gatehouse/web"
	"gatehouse/web/ui"
)

// Names of the listeners, for logs.
const (
	listenerGateway = "gateway"
	listenerConsole = "console"
	listenerMetrics = "metrics"
)

// openServer binds the addresses; nothing is answered before Run.
func (p *Program) openServer(context.Context) (err error) {
	surfaces, err := p.surfaces()
	if err != nil {
		return err
	}
	p.server, err = web.Listen(web.Options{Listeners: p.listeners(surfaces), Drain: p.config.Gateway.DrainTimeout, Log: p.log})
	if err != nil {
		return cannotListen(err)
	}
	p.onClose("listeners", func(context.Context) error { return p.server.Close() })
	return nil
}

// listeners are the gateway's and the console's, or one for both, told apart
// by the host's name.
func (p *Program) listeners(s surfaces) []web.Listener {
	c := p.config
	limits := web.Limits{Connections: int(c.Gateway.MaxConnections), HeaderBytes: int(c.Gateway.MaxHeaderBytes),
		ReadHeader: c.Gateway.ReadHeaderTimeout, Idle: c.Gateway.IdleTimeout}
	front, console := p.front(s.keys), p.endWithServer(s.console)
	list := []web.Listener{{Name: listenerGateway, Address: c.Gateway.Addr, Handler: front, Limits: limits,
		TLS: web.TLSFiles{Cert: c.Gateway.TLS.CertFile, Key: c.Gateway.TLS.KeyFile}}}
	if c.OnePort() {
		list[0].Handler = web.ByHost([]string{c.Console.Host}, console, front)
	} else {
		list = append(list, web.Listener{Name: listenerConsole, Address: c.Console.Addr, Handler: console, Limits: limits,
			TLS: web.TLSFiles{Cert: c.Console.TLS.CertFile, Key: c.Console.TLS.KeyFile}})
	}
	if c.Metrics.Addr != "" {
		list = append(list, web.Listener{Name: listenerMetrics, Address: c.Metrics.Addr, Handler: s.machine, Limits: limits})
	}
	return list
}

// front is the gateway, with the public keys before it.
func (p *Program) front(keys http.Handler) http.Handler {
	gate := p.tracing.Wrap("gateway", p.gateway)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/jwks.json" {
			keys.ServeHTTP(w, r)
			return
		}
		gate.ServeHTTP(w, r)
	})
}

// endWithServer ends the pages' live streams when the server drains, which
// would wait for them otherwise.
func (p *Program) endWithServer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != ui.PathEvents {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		go func() {
			select {
			case <-p.server.Draining():
				cancel()
			case <-ctx.Done():
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// cannotListen says what to do about an address that cannot be bound.
func cannotListen(err error) error {
	var busy *net.OpError
	if !errors.As(err, &busy) || busy.Addr == nil {
		return err
	}
	return &app.Error{Kind: app.KindUnavailable, Code: "cannot_listen", Err: err,
		Message: "The address " + busy.Addr.String() + " cannot be bound.",
		Advice:  "Stop what listens there, or choose another with --gateway-addr or --console-addr. `gatehouse doctor` looks at both."}
}
