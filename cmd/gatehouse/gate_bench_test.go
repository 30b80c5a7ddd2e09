package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/app/routing"
	"gatehouse/app/tenancy"
)

// BenchmarkGate measures the whole program beside a bare httputil.ReverseProxy
// in one run, 64 connections each: read the two as a ratio. packaging/bench.sh
// measures processes of their own.
func BenchmarkGate(b *testing.B) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(strings.Repeat("x", 1024)))
	}))
	defer behind.Close()
	target, _ := url.Parse(behind.URL)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	bare := httptest.NewServer(&httputil.ReverseProxy{Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() }})
	defer bare.Close()
	gate, key := benchGate(b, behind.URL)
	b.Run("bare", func(b *testing.B) { benchRequests(b, bare.Listener.Addr().String(), "") })
	b.Run("gatehouse", func(b *testing.B) { benchRequests(b, gate, key) })
}

// benchRequests sends b.N requests over 64 connections.
func benchRequests(b *testing.B, addr, key string) {
	request := fmt.Sprintf("GET /x HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer %s\r\n\r\n", key)
	b.SetParallelism(32) // times GOMAXPROCS
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		reader := bufio.NewReader(conn)
		for pb.Next() {
			io.WriteString(conn, request)
			answer, err := http.ReadResponse(reader, nil)
			if err != nil || answer.StatusCode != http.StatusOK {
				b.Errorf("%v, %v", answer, err)
				return
			}
			io.Copy(io.Discard, answer.Body)
		}
	})
}

// benchGate runs the program with four limits that bind nobody: two of the
// plan, one of the key, one of the route.
func benchGate(b *testing.B, address string) (addr, key string) {
	b.Helper()
	config, err := loadConfig(sources{Flags: []flagValue{{"data_dir", "bench", b.TempDir()},
		{"gateway.addr", "bench", "127.0.0.1:0"}, {"console.addr", "bench", "127.0.0.1:0"}, {"log.level", "bench", "error"}}})
	if err != nil {
		b.Fatal(err)
	}
	p, err := Open(b.Context(), config, programOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx, ctx) }()
	b.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, p.Close()); err != nil {
			b.Error(err)
		}
	})
	return p.server.Address(listenerGateway).String(), benchKey(b, p, address)
}

func benchKey(b *testing.B, p *Program, address string) string {
	b.Helper()
	ctx, actor := b.Context(), app.Actor{Kind: app.ActorSystem}
	wide := func(name string) []app.RateLimit {
		return []app.RateLimit{{Name: name, Requests: 1e9, Window: app.Duration(time.Minute)}}
	}
	_, err := p.plans.Apply(ctx, actor, []app.Plan{{Slug: "wide", Name: "Wide",
		RateLimits: append(wide("minute"), app.RateLimit{Name: "hour", Requests: 1e9, Window: app.Duration(time.Hour)})}})
	if err != nil {
		b.Fatal(err)
	}
	_, err = p.routes.Apply(ctx, actor, routing.Set{
		Upstreams: []app.Upstream{{Name: "app", Addresses: []string{address}}},
		Routes:    []app.Route{{Name: "all", PathPrefix: "/", Upstream: "app", RateLimits: wide("route")}}}, true)
	if err != nil {
		b.Fatal(err)
	}
	org, err := p.orgs.Create(ctx, actor, tenancy.New{Name: "Bench", Plan: "wide"})
	if err != nil {
		b.Fatal(err)
	}
	key, err := p.keys.Mint(ctx, actor, keys.New{Org: org.ID, Name: "bench", RateLimits: wide("key")})
	if err != nil {
		b.Fatal(err)
	}
	return key.Secret
}
