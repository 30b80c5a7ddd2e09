package upstream

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Sizes of a connection's buffer: what an ordinary answer fits in, and what a
// long body is moved with.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// conn is one HTTP/1.1 connection of the direct path, used by one request at a
// time: write it, read the answer, give the connection back.
type conn struct {
	raw    net.Conn // what is read and written: TCP or TLS
	socket net.Conn // the TCP connection below
	buf    []byte   // buf[pos:end] was read and is not used yet
	pos    int
	end    int
	small  []byte
	parked time.Time
	used   bool // it has carried an answer before
	wrote  int  // bytes of the running request that were written
	got    bool // some byte of its answer came

	hurried bool // writes have a deadline

	gone  atomic.Bool // the client left: no deadline may be set any more
	stop  func() bool // takes the watch on the client away; nil without one
	probe *probe
}

func newConn(raw, socket net.Conn) *conn {
	buf := make([]byte, smallBuffer)
	return &conn{raw: raw, socket: socket, buf: buf, small: buf}
}

func (c *conn) close() { c.raw.Close() }

// discard ends the use of a connection that cannot be used again.
func (c *conn) discard() {
	c.unwatch()
	c.close()
}

// buffered are bytes that were read and not used.
func (c *conn) buffered() []byte { return c.buf[c.pos:c.end] }

// watch cuts the connection off when ctx ends: the client left.
func (c *conn) watch(ctx context.Context) {
	if c.stop == nil {
		c.stop = context.AfterFunc(ctx, c.cut)
	}
}

func (c *conn) cut() {
	c.gone.Store(true)
	c.raw.SetDeadline(past)
}

// unwatch takes the watch away; it is false when the cut came first, and then
// the connection is of no use.
func (c *conn) unwatch() bool {
	if c.stop == nil {
		return true
	}
	stopped := c.stop()
	c.stop = nil
	return stopped
}

// readUntil sets the deadline of reads, unless the client has left.
func (c *conn) readUntil(t time.Time) {
	c.raw.SetReadDeadline(t)
	if c.gone.Load() { // the cut may have come between: it must have the last word
		c.raw.SetDeadline(past)
	}
}

// fill reads once into the buffer, which must have room: see reserve.
func (c *conn) fill() error {
	n, err := c.raw.Read(c.buf[c.end:])
	c.end += n
	switch {
	case n > 0:
		return nil // an error comes again with the next read
	case err == nil:
		return io.ErrNoProgress
	case c.gone.Load():
		return errGone
	}
	return err
}

// reserve makes room behind the unused bytes, up to a buffer of limit bytes.
func (c *conn) reserve(limit int) error {
	if c.pos == c.end {
		c.pos, c.end = 0, 0
	}
	if c.end < len(c.buf) {
		return nil
	}
	if c.pos > 0 {
		c.end = copy(c.buf, c.buf[c.pos:c.end])
		c.pos = 0
		return nil
	}
	if len(c.buf) >= limit {
		return errHeadLimit
	}
	grown := make([]byte, min(2*len(c.buf), limit))
	copy(grown, c.buf[:c.end])
	c.buf = grown
	return nil
}

// swap puts a larger buffer in the place of the own one, once all that was
// read is used, and returns the one that was there.
func (c *conn) swap(buf []byte) {
	c.buf, c.pos, c.end = buf, 0, 0
}

// rest makes the connection ready for the next request: true when nothing is
// left over from this one.
func (c *conn) rest() bool {
	clean := c.pos == c.end && c.unwatch() && !c.gone.Load()
	if c.hurried { // an old deadline would fail the next request's write
		c.raw.SetWriteDeadline(time.Time{})
		c.hurried = false
	}
	c.swap(c.small)
	c.used = true
	return clean
}

// alive reports whether an idle connection still stands: open, and without a
// byte that nobody asked for.
func (c *conn) alive() bool {
	if c.probe == nil {
		c.probe = newProbe(c.socket, c.raw != c.socket)
	}
	return c.probe.alive()
}
