// Package web opens the listeners and keeps their clients in bounds: it accepts
// HTTP/1.1, HTTP/2 and h2c, refuses what is not clearly HTTP, cuts off who is
// too slow, and drains at the end.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Listener is one address and who answers there.
type Listener struct {
	Name    string // for logs and Address, such as "gateway"
	Address string // host:port; port 0 lets the system choose
	Handler http.Handler
	TLS     TLSFiles // empty is plain HTTP
	Limits  Limits
}

// Options of a server.
type Options struct {
	Listeners []Listener
	Drain     time.Duration // how long open requests may finish at the end; default 30 s
	Log       *slog.Logger  // nil is silent
}

// Server is the listeners together. They are bound by Listen, served by Run.
type Server struct {
	drain   time.Duration
	log     *slog.Logger
	ends    []*end
	base    context.Context // of all requests
	abandon context.CancelFunc
	active  atomic.Int64 // requests inside handlers, those of tunnels included
	leaving chan struct{}
}

// end is one listener at work.
type end struct {
	name   string
	door   *doorway
	server *http.Server
	cert   *certificate // nil without TLS
}

// grace is how long handlers have to return once their requests are cut.
const grace = 2 * time.Second

// Listen binds every address; nothing is accepted before Run. On an error
// nothing stays bound.
func Listen(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Drain <= 0 {
		o.Drain = 30 * time.Second
	}
	s := &Server{drain: o.Drain, log: o.Log, leaving: make(chan struct{})}
	s.base, s.abandon = context.WithCancel(context.Background())
	for _, l := range o.Listeners {
		if err := s.bind(l); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) bind(l Listener) error {
	limits := l.Limits.withDefaults()
	door := newDoorway(nil, &limits, nil, s.log.With("listener", l.Name))
	var cert *certificate
	var err error
	if l.TLS != (TLSFiles{}) {
		if cert, err = loadCertificate(l.TLS, door.log); err != nil {
			return err
		}
		door.tls = cert.config()
	}
	if door.Listener, err = net.Listen("tcp", l.Address); err != nil {
		return err
	}
	s.ends = append(s.ends, &end{l.Name, door, s.configure(l.Handler, &limits, door), cert})
	return nil
}

// configure sets net/http up for the listener.
func (s *Server) configure(handler http.Handler, limits *Limits, door *doorway) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           s.receive(handler, limits),
		Protocols:         protocols,
		ReadHeaderTimeout: limits.ReadHeader,
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    limits.HeaderBytes,
		ErrorLog:          slog.NewLogLogger(errorLog{door.log.Handler()}, slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ConnState:         noticeTunnel,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: limits.Streams, WriteByteTimeout: limits.WriteIdle,
			SendPingTimeout: limits.Idle, PingTimeout: 15 * time.Second},
	}
}

// noticeTunnel tells a guard that its connection speaks HTTP/1.1 no more.
func noticeTunnel(c net.Conn, state http.ConnState) {
	if state != http.StateHijacked {
		return
	}
	switch c := c.(type) {
	case *guard:
		c.tunnel.Store(true)
	case *tlsGuard:
		c.tunnel.Store(true)
	}
}

// errorLog raises what net/http says of a handler's panic; the rest is about
// clients that misbehave.
type errorLog struct{ slog.Handler }

// Enabled implements slog.Handler: the level is not known before the message.
func (errorLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h errorLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "panic") {
		r.Level = slog.LevelError
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// receive counts requests, and does for HTTP/2 what the guard does for HTTP/1.1.
func (s *Server) receive(next http.Handler, limits *Limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.active.Add(1)
		defer s.active.Add(-1)
		if r.ProtoMajor == 2 {
			if countFields(r.Header) > limits.HeaderFields {
				refusedTooMany.answer(w)
				return
			}
			hurryStream(w, r, limits)
		}
		next.ServeHTTP(w, r)
	})
}

func countFields(header http.Header) (n int) {
	for _, values := range header {
		n += len(values)
	}
	return n
}

// Address returns where the listener of the name is bound, or nil.
func (s *Server) Address(name string) net.Addr {
	for _, e := range s.ends {
		if e.name == name {
			return e.door.Addr()
		}
	}
	return nil
}

// Run serves until ctx is done, or a listener fails. Then it takes no new
// connection, lets open requests finish within the drain time, cuts those
// that are left, tunnels and streams among them, and returns. The end of force
// ends the draining at once. It can be called once.
func (s *Server) Run(ctx, force context.Context) error {
	failed := make(chan error, len(s.ends))
	var serving sync.WaitGroup
	for _, e := range s.ends {
		e.door.start()
		serving.Go(func() {
			if err := e.server.Serve(e.door); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	close(s.leaving)
	s.shutdown(force)
	serving.Wait()
	return err
}

// Draining is closed when the server begins to drain: streams of our own, such
// as a page's live updates, should end then, or they are waited for.
func (s *Server) Draining() <-chan struct{} { return s.leaving }

// shutdown drains, then cuts.
func (s *Server) shutdown(force context.Context) {
	drain, cancel := context.WithTimeout(force, s.drain)
	defer cancel()
	var all sync.WaitGroup
	for _, e := range s.ends {
		all.Go(func() { e.server.Shutdown(drain) })
	}
	all.Wait()
	s.awaitHandlers(drain) // net/http waits for no tunnel
	if n := s.active.Load(); n > 0 {
		s.log.Warn("requests cut at shutdown", "count", n)
	}
	s.abandon()
	last, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	s.awaitHandlers(last)
	s.Close()
}

// awaitHandlers returns when no request is left, or ctx is done.
func (s *Server) awaitHandlers(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.active.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Close unbinds the addresses and closes every connection.
func (s *Server) Close() error {
	s.abandon()
	var failed []error
	for _, e := range s.ends {
		failed = append(failed, e.server.Close())
		if err := e.door.Close(); !errors.Is(err, net.ErrClosed) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// ByHost sends requests for one of the hosts to the first handler, all others
// to the second: the console and the gateway on one port. Ports do not matter.
func ByHost(hosts []string, match, other http.Handler) http.Handler {
	wanted := map[string]bool{}
	for _, host := range hosts {
		wanted[bareHost(host)] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wanted[bareHost(r.Host)] {
			match.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}

// bareHost takes away the port, brackets, a final dot and upper case.
func bareHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
