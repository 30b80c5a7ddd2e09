// Package redis is the Redis inside the process, for an installation of one
// replica: miniredis, reached through memory. It opens no port, keeps nothing
// on disk, and holds what may be lost at a restart: counters of failed
// sign-ins, locks, notices.
package redis

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

const (
	tickEvery = 100 * time.Millisecond // how exact expiry is
	tickShare = 50                     // a tick may take one part in so many of the time
)

// Server is one in-process Redis.
type Server struct {
	mini *miniredis.Miniredis
	stop context.CancelFunc
	done sync.WaitGroup
}

// Start starts a server. Its keys expire within a tenth of a second of their
// time, later when there are very many.
func Start() (*Server, error) {
	mini := miniredis.NewMiniRedis()
	first, err := mini.Dial() // starts it without a listener
	if err != nil {
		return nil, err
	}
	first.Close()
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{mini: mini, stop: stop}
	s.done.Go(func() { s.age(ctx) })
	return s, nil
}

// Dial answers a new connection; it has the form that Redis clients take. The
// network and the address mean nothing.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	server := s.mini.Server()
	if server == nil {
		return nil, net.ErrClosed
	}
	near, far := net.Pipe()
	server.ServeConn(buffer(far))
	return buffer(near), nil
}

// age makes time pass for keys that expire: miniredis has no clock of its own
// for them, and the one that it can follow looks at every key in every command.
func (s *Server) age(ctx context.Context) {
	timer := time.NewTimer(tickEvery)
	defer timer.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		s.mini.FastForward(now.Sub(last))
		last = now
		timer.Reset(max(tickEvery, tickShare*time.Since(now)))
	}
}

// Close ends the server and its connections.
func (s *Server) Close() error {
	s.stop()
	s.done.Wait()
	s.mini.Close()
	return nil
}
