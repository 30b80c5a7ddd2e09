package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

type listening struct {
	server   *http.Server
	listener net.Listener
}

type servers struct {
	drain time.Duration
	all   []listening
}

func (p *Program) openServer(context.Context) error {
	surfaces, err := p.surfaces()
	if err != nil {
		return err
	}
	p.server = &servers{drain: p.config.Gateway.DrainTimeout}
	front := p.front(surfaces.keys)
	if p.config.OnePort() {
		byHost := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if sameHost(r.Host, p.config.Console.Host) {
				surfaces.console.ServeHTTP(w, r)
				return
			}
			front.ServeHTTP(w, r)
		})
		return p.listen(p.config.Gateway.Addr, byHost)
	}
	if err := p.listen(p.config.Gateway.Addr, front); err != nil {
		return err
	}
	if err := p.listen(p.config.Console.Addr, surfaces.console); err != nil {
		return err
	}
	if p.config.Metrics.Addr != "" {
		return p.listen(p.config.Metrics.Addr, surfaces.machine)
	}
	return nil
}

func sameHost(got, want string) bool {
	host, _, err := net.SplitHostPort(got)
	if err != nil {
		host = got
	}
	return host == want
}

// front is the gateway with the public keys before it.
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

func (p *Program) listen(addr string, handler http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	p.server.all = append(p.server.all, listening{&http.Server{Handler: handler, Protocols: protocols,
		ReadHeaderTimeout: p.config.Gateway.ReadHeaderTimeout, IdleTimeout: p.config.Gateway.IdleTimeout}, l})
	p.onClose("listener", func(context.Context) error { l.Close(); return nil })
	return nil
}

func (s *servers) Run(ctx, force context.Context) error {
	var group sync.WaitGroup
	failed := make(chan error, len(s.all))
	for _, l := range s.all {
		group.Go(func() {
			if err := l.server.Serve(l.listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	drain, cancel := context.WithTimeout(force, s.drain)
	defer cancel()
	for _, l := range s.all {
		group.Go(func() {
			if l.server.Shutdown(drain) != nil {
				l.server.Close()
			}
		})
	}
	group.Wait()
	return err
}
