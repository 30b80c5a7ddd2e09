package upstream

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// checkSwitch refuses a change of protocol that the client did not ask for.
func (e *exchange) checkSwitch() error {
	if e.upgrade == "" || !strings.EqualFold(e.upgrade, e.head.upgrade) {
		return malformed("unwanted change of protocol")
	}
	return nil
}

// tunnel joins the client's connection to the upstream's, which has agreed to
// change the protocol, until both sides have ended or nothing moves.
func (e *exchange) tunnel(c *conn) error {
	defer c.discard()
	e.result.Status = e.head.status
	header := e.w.Header()
	e.fillHeader(header)
	if e.out.Before != nil {
		if err := e.out.Before(e.head.status, header); err != nil {
			e.retract(header)
			return err
		}
	}
	client, early, err := http.NewResponseController(e.w).Hijack()
	if err != nil {
		e.retract(header)
		return faultBroken(err)
	}
	defer client.Close()
	e.result.Sent, e.result.Upgraded = true, true
	if !c.unwatch() {
		return faultGone(errGone)
	}
	client.SetDeadline(time.Time{})
	c.raw.SetDeadline(time.Time{})
	if _, err := client.Write(switchHead(header, e.head.upgrade)); err != nil {
		return faultGone(err)
	}
	if e.out.Upgraded != nil {
		e.out.Upgraded()
	}
	t := &pipes{client: client, upstream: c, idle: e.pool.options.StreamIdle, pass: e.out.Pass, frame: e.out.Frame,
		framed: e.out.Framed && strings.EqualFold(e.head.upgrade, "websocket")}
	began := time.Now()
	err = t.run(e.r.Context(), early.Reader)
	e.result.Lasted = t.lasted(began)
	e.result.BytesIn, e.result.BytesOut = t.in.Load(), t.out.Load()
	return err
}

// switchHead writes the answer that ends HTTP on the client's connection.
func switchHead(header http.Header, protocol string) []byte {
	b := []byte("HTTP/1.1 101 " + http.StatusText(http.StatusSwitchingProtocols) + "\r\n")
	for name, values := range header {
		for _, value := range values {
			if !strings.ContainsAny(name+value, "\r\n") && name != "Content-Length" {
				b = appendField(b, name, value)
			}
		}
	}
	b = appendField(b, "Upgrade", protocol)
	return append(b, "Connection: Upgrade\r\n\r\n"...)
}

// pipes are the two directions of a tunnel.
type pipes struct {
	client   net.Conn
	upstream *conn
	idle     time.Duration
	moved    atomic.Bool // since the last look
	in, out  atomic.Int64

	framed bool // a WebSocket whose frames are followed, so that it can be told why it ends
	pass   func(up bool, n int64) (int64, error)
	frame  func(up bool, n int64) error
	parted atomic.Pointer[parting]
}

// run copies both ways. The end of one direction is passed on as the end of
// writing, so that the other may still finish.
func (t *pipes) run(ctx context.Context, early *bufio.Reader) error {
	stop := context.AfterFunc(ctx, func() { t.end(context.Cause(ctx)) })
	defer stop()
	timer := t.watchIdle()
	defer timer.Stop()
	var both sync.WaitGroup
	both.Go(func() {
		first, _ := early.Peek(early.Buffered())
		t.carry(&lane{t: t, to: t.upstream.raw, from: t.client, count: &t.in, up: true}, first)
	})
	t.carry(&lane{t: t, to: t.client, from: t.upstream.raw, count: &t.out}, t.upstream.buffered())
	both.Wait()
	if p := t.parted.Load(); p != nil {
		return p.cause
	}
	if ctx.Err() != nil {
		return faultGone(context.Cause(ctx))
	}
	return nil
}

// watchIdle cuts the tunnel when nothing has moved for the idle time, looking
// twice in it: a timer's reset per message would cost more than a flag.
func (t *pipes) watchIdle() *time.Timer {
	var timer *time.Timer
	quiet := 0
	armed := make(chan struct{})
	timer = time.AfterFunc(t.idle/2, func() {
		<-armed
		if quiet++; t.moved.Swap(false) {
			quiet = 0
		}
		if quiet >= 2 {
			t.cut()
			return
		}
		timer.Reset(t.idle / 2)
	})
	close(armed)
	return timer
}

func (t *pipes) cut() {
	t.client.SetDeadline(past)
	t.upstream.raw.SetDeadline(past)
	t.client.Close()
	t.upstream.close()
}

// carry moves one direction, beginning with what was read already.
func (t *pipes) carry(l *lane, first []byte) {
	if t.framed {
		l.frames(first)
		return
	}
	l.copy(first)
}

// copy moves bytes of which nothing is known.
func (l *lane) copy(first []byte) {
	t, to, from := l.t, l.to, l.from
	if len(first) > 0 && l.write(first) != nil {
		t.cut()
		return
	}
	buf := make([]byte, smallBuffer) // thousands of quiet tunnels must not hold large ones
	for {
		n, err := from.Read(buf)
		if n > 0 {
			t.moved.Store(true)
			if l.write(buf[:n]) != nil {
				t.cut()
				return
			}
			if n == len(buf) && n < largeBuffer {
				buf = make([]byte, 2*n)
			}
		}
		if err != nil {
			t.endOf(to, err)
			return
		}
	}
}

// endOf passes an orderly end on, and cuts both ways after a fault.
func (t *pipes) endOf(to net.Conn, err error) {
	half, ok := to.(interface{ CloseWrite() error })
	if !ok || !isEOF(err) || half.CloseWrite() != nil {
		t.cut()
	}
}
