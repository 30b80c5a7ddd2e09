package redis

import (
	"net"
	"sync"
)

// conn is one end of a pipe whose writes do not wait for the reader. A bare
// net.Pipe stands still when both ends write at once, as they do in a long
// pipeline: the client sends while the server already answers.
type conn struct {
	net.Conn
	mu      sync.Mutex
	filled  sync.Cond
	pending []byte
	err     error
}

func buffer(c net.Conn) *conn {
	b := &conn{Conn: c}
	b.filled.L = &b.mu
	go b.pump()
	return b
}

// Write keeps p for the pump. It fails when an earlier write failed.
func (b *conn) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	b.pending = append(b.pending, p...)
	b.filled.Signal()
	return len(p), nil
}

// pump sends what is written until the connection ends.
func (b *conn) pump() {
	var sending []byte
	for {
		b.mu.Lock()
		for len(b.pending) == 0 && b.err == nil {
			b.filled.Wait()
		}
		if b.err != nil {
			b.mu.Unlock()
			return
		}
		sending, b.pending = b.pending, sending[:0]
		b.mu.Unlock()
		if _, err := b.Conn.Write(sending); err != nil {
			b.fail(err)
		}
	}
}

func (b *conn) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	b.filled.Signal()
}

// Close ends the connection; what the other end has not read is lost.
func (b *conn) Close() error {
	b.fail(net.ErrClosed)
	return b.Conn.Close()
}
