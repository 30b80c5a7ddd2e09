//go:build unix

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
	"syscall"
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
	gate, plain, capped := benchGate(b, behind.URL)
	b.Run("bare", func(b *testing.B) { benchRequests(b, bare.Listener.Addr().String(), "") })
	b.Run("gatehouse", func(b *testing.B) { benchRequests(b, gate, plain) })
	b.Run("quotas", func(b *testing.B) { benchRequests(b, gate, capped) })
}

// benchRequests sends b.N requests over 64 connections.
func benchRequests(b *testing.B, addr, key string) {
	request := fmt.Sprintf("GET /x HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer %s\r\n\r\n", key)
	b.SetParallelism(32) // times GOMAXPROCS
	b.ReportAllocs()
	before := processorTime()
	defer func() {
		b.ReportMetric(float64((processorTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	}()
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

// processorTime is what this process has used of the processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchGate runs the program with four limits that bind nobody: two of the
// plan, one of the key, one of the route. The second key is of an organization
// whose plan has a hard quota for itself, and has one of its own.
func benchGate(b *testing.B, address string) (addr, plain, capped string) {
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
	plain, capped = benchKeys(b, p, address)
	return p.server.Address(listenerGateway).String(), plain, capped
}

func benchKeys(b *testing.B, p *Program, address string) (plain, capped string) {
	b.Helper()
	ctx, actor := b.Context(), app.Actor{Kind: app.ActorSystem}
	wide := func(name string) []app.RateLimit {
		return []app.RateLimit{{Name: name, Requests: 1e9, Window: app.Duration(time.Minute)}}
	}
	large := func(period app.QuotaPeriod) app.Quota {
		return app.Quota{Meter: app.MeterRequests, Limit: 1e12, Period: period, Mode: app.QuotaHard}
	}
	limits := append(wide("minute"), app.RateLimit{Name: "hour", Requests: 1e9, Window: app.Duration(time.Hour)})
	_, err := p.plans.Apply(ctx, actor, []app.Plan{{Slug: "wide", Name: "Wide", RateLimits: limits},
		{Slug: "capped", Name: "Capped", RateLimits: limits, Quotas: []app.Quota{large(app.PeriodMonth)}}})
	if err != nil {
		b.Fatal(err)
	}
	_, err = p.routes.Apply(ctx, actor, routing.Set{
		Upstreams: []app.Upstream{{Name: "app", Addresses: []string{address}}},
		Routes:    []app.Route{{Name: "all", PathPrefix: "/", Upstream: "app", RateLimits: wide("route")}}}, true)
	if err != nil {
		b.Fatal(err)
	}
	for _, plan := range []string{"wide", "capped"} {
		org, err := p.orgs.Create(ctx, actor, tenancy.New{Name: "Bench " + plan, Plan: plan})
		if err != nil {
			b.Fatal(err)
		}
		key, err := p.keys.Mint(ctx, actor, keys.New{Org: org.ID, Name: "bench", RateLimits: wide("key")})
		if err != nil {
			b.Fatal(err)
		}
		if plain, capped = capped, key.Secret; plan == "capped" {
			_, err = p.quotaDesk.Put(ctx, actor, string(org.ID), app.QuotaOverride{Key: key.Key.ID, Quota: large(app.PeriodDay)})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	return plain, capped
}
