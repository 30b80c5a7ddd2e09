//go:build unix

package upstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/web"
)

// roleVariable makes a copy of the test binary play a part of the benchmark,
// so that the processor time measured is the gate's alone.
const roleVariable = "GATEHOUSE_BENCH_ROLE"

func TestMain(m *testing.M) {
	switch role, rest, _ := strings.Cut(os.Getenv(roleVariable), " "); role {
	case "upstream":
		playUpstream(rest)
	case "load":
		playLoad(rest)
	default:
		os.Exit(m.Run())
	}
}

// playUpstream answers like an ordinary app until its standard input ends.
func playUpstream(rest string) {
	size, _ := strconv.Atoi(rest)
	body := []byte(strings.Repeat("x", size))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		w.Header()["Cache-Control"] = []string{"no-store"}
		w.Header()["X-Powered-By"] = []string{"bench"}
		w.Header()["Content-Length"] = []string{fmt.Sprint(size)}
		w.Write(body)
	}))
	fmt.Println(server.URL)
	io.Copy(io.Discard, os.Stdin)
}

// playLoad sends n requests over the connections.
func playLoad(rest string) {
	var address string
	var conns, n, size int
	fmt.Sscan(rest, &address, &conns, &n, &size)
	var wait sync.WaitGroup
	for i := range conns {
		share := n / conns
		if i < n%conns {
			share++
		}
		wait.Go(func() { loadOne(address, share, size) })
	}
	wait.Wait()
}

func loadOne(address string, n, size int) {
	request := []byte("GET /v1/things?limit=10 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench/1.0\r\n" +
		"Accept: */*\r\nAuthorization: Bearer gk_live_000000000000000000000000000000000000\r\n\r\n")
	c, err := net.Dial("tcp", address)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	defer c.Close()
	buf := make([]byte, 128<<10)
	for range n {
		c.Write(request)
		for got, need := 0, -1; need < 0 || got < need; {
			m, err := c.Read(buf[got:])
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			got += m
			if end := headEnd(buf[:got], 0); need < 0 && end > 0 {
				need = end + size
			}
		}
	}
}

// play starts the test binary in a role.
func play(b *testing.B, role string) (*exec.Cmd, io.WriteCloser, io.Reader) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return cmd, in, out
}

// bareProxy is what everything is measured against: httputil.ReverseProxy with
// a tuned Transport.
func bareProxy(b *testing.B, address string) http.Handler {
	target, err := url.Parse(address)
	if err != nil {
		b.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		Transport:  &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true},
		BufferPool: &benchBuffers{},
	}
}

type benchBuffers struct{ pool sync.Pool }

func (p *benchBuffers) Get() []byte {
	if buf, ok := p.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, 32<<10)
}

func (p *benchBuffers) Put(buf []byte) { p.pool.Put(&buf) }

func poolHandler(b *testing.B, address string, stockOnly bool) http.Handler {
	p := NewPool(app.Upstream{Name: "bench", Addresses: []string{address}}, Options{})
	p.stockOnly = stockOnly
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := Outgoing{Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery}
		if result := p.Serve(w, r, &out); result.Err != nil {
			b.Error(result.Err)
		}
	})
}

// BenchmarkProxy compares the pool's two paths with the bare proxy over real
// connections; upstream and load run in processes of their own. "none" is a
// handler that answers by itself: the cost of net/http's server. "guarded" is the
// direct path behind the listener of package web.
func BenchmarkProxy(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		for _, conns := range []int{1, 64, 256} {
			for _, kind := range []string{"none", "bare", "direct", "guarded", "stock"} {
				b.Run(fmt.Sprintf("size=%dK/conns=%d/%s", size>>10, conns, kind), func(b *testing.B) {
					benchmarkProxy(b, kind, conns, size)
				})
			}
		}
	}
}

func benchmarkProxy(b *testing.B, kind string, conns, size int) {
	upstream, in, out := play(b, fmt.Sprintf("upstream %d", size))
	defer upstream.Wait()
	defer in.Close()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	handler := benchHandler(b, kind, strings.TrimSpace(address), size)
	var listen string
	if kind == "guarded" {
		listen = guarded(b, handler)
	} else {
		gate := httptest.NewServer(handler)
		defer gate.Close()
		listen = gate.Listener.Addr().String()
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	load, stdin, report := play(b, fmt.Sprintf("load %s %d %d %d", listen, conns, b.N, size))
	defer stdin.Close()
	trouble, _ := io.ReadAll(report)
	if err := load.Wait(); err != nil {
		b.Fatalf("%v: %s", err, trouble)
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e3, "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

func guarded(b *testing.B, handler http.Handler) string {
	s, err := web.Listen(web.Options{Drain: time.Second, Listeners: []web.Listener{{Name: "gate", Address: "127.0.0.1:0", Handler: handler}}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx, ctx) }()
	b.Cleanup(func() {
		stop()
		<-done
	})
	return s.Address("gate").String()
}

func benchHandler(b *testing.B, kind, address string, size int) http.Handler {
	switch kind {
	case "bare":
		return bareProxy(b, address)
	case "none":
		body := []byte(strings.Repeat("x", size))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Length"] = []string{strconv.Itoa(size)}
			w.Write(body)
		})
	}
	return poolHandler(b, address, kind == "stock")
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkProbe is what the look at an idle connection costs.
func BenchmarkProbe(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	c := newConn(raw, raw)
	b.ReportAllocs()
	for b.Loop() {
		if !c.alive() {
			b.Fatal("not alive")
		}
	}
}
