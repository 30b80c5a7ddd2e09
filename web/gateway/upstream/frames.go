package upstream

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// What a close frame says (RFC 6455 section 7.4.1).
const (
	closePolicy = 1008
	closeLater  = 1013
)

// partingTime bounds how long both sides of a WebSocket have to end a frame
// that is on its way, to take the close frame and to answer it.
const partingTime = 2 * time.Second

const opClose = 0x8

// parting is the end of a WebSocket that the gate decided.
type parting struct {
	cause error
	at    time.Time
	until time.Time
}

// end ends the tunnel: politely where frames are followed and the cause is one
// that can be told.
func (t *pipes) end(cause error) {
	var known *app.Error
	if !t.framed || !errors.As(cause, &known) {
		t.cut()
		return
	}
	now := time.Now()
	if !t.parted.CompareAndSwap(nil, &parting{known, now, now.Add(partingTime)}) {
		return
	}
	for _, c := range [...]net.Conn{t.client, t.upstream.raw} {
		c.SetWriteDeadline(now.Add(partingTime))
		c.SetReadDeadline(past) // wakes who waits
	}
}

// lasted is how long the tunnel was used.
func (t *pipes) lasted(began time.Time) time.Duration {
	if p := t.parted.Load(); p != nil {
		return p.at.Sub(began)
	}
	return time.Since(began)
}

// lane is one direction of a tunnel.
type lane struct {
	t        *pipes
	to, from net.Conn
	count    *atomic.Int64
	up       bool // from the client to the upstream

	left   uint64 // of the frame that is passing
	closed bool   // a close frame has passed
}

// write passes bytes on; of a tunnel without frames as many as may.
func (l *lane) write(p []byte) (err error) {
	if len(p) == 0 {
		return nil
	}
	var refused error
	if !l.t.framed && l.t.pass != nil {
		var n int64
		n, refused = l.t.pass(l.up, int64(len(p)))
		p = p[:n]
	}
	n, err := l.to.Write(p)
	l.count.Add(int64(n))
	return errors.Join(err, refused)
}

// frames moves a WebSocket's frames until one side ends or both are parted.
func (l *lane) frames(first []byte) {
	buf := make([]byte, max(smallBuffer, len(first)))
	have := copy(buf, first)
	for {
		used, parted := l.scan(buf[:have])
		if l.write(buf[:used]) != nil {
			l.t.cut()
			return
		}
		if parted {
			l.part(buf[used:have])
			return
		}
		have = copy(buf, buf[used:have])
		n, err := l.from.Read(buf[have:])
		if have += n; n > 0 {
			l.t.moved.Store(true)
			if have == len(buf) && have < largeBuffer {
				buf = append(buf, make([]byte, have)...)
			}
			continue
		}
		if err != nil && !l.goOn(err) {
			l.t.endOf(l.to, err)
			return
		}
	}
}

// goOn reports whether a read failed only because the other side, or the
// context, began to part: what is on its way may come to its end.
func (l *lane) goOn(err error) bool {
	p := l.t.parted.Load()
	if p == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(p.until) {
		return false
	}
	l.from.SetReadDeadline(p.until)
	return true
}

// scan reports how much of the data may pass now, and whether the lane is to
// part behind it. A header is held back until all of it is there.
func (l *lane) scan(data []byte) (used int, parted bool) {
	for {
		n := min(uint64(len(data)-used), l.left)
		used, l.left = used+int(n), l.left-n
		if l.left > 0 {
			return used, false
		}
		if l.t.parted.Load() != nil {
			return used, true
		}
		size, op, ok := frameSize(data[used:])
		if !ok {
			return used, false
		}
		if l.t.frame != nil {
			if err := l.t.frame(l.up, int64(min(size, 1<<62))); err != nil {
				l.t.end(err)
				if l.t.parted.Load() == nil {
					l.t.cut()
				}
				return used, true
			}
		}
		l.left, l.closed = size, l.closed || op == opClose
	}
}

// frameSize is the length of the frame that begins here, with its header; not
// ok where the header is not whole.
func frameSize(b []byte) (size uint64, op byte, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	header, payload := uint64(2), uint64(b[1]&0x7f)
	if b[1]&0x80 != 0 {
		header += 4
	}
	switch payload {
	case 126:
		if header += 2; len(b) < 4 {
			return 0, 0, false
		}
		payload = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if header += 8; len(b) < 10 {
			return 0, 0, false
		}
		payload = min(binary.BigEndian.Uint64(b[2:]), 1<<63) // no more is allowed
	}
	return header + payload, b[0] & 0x0f, true
}

// part tells the side that this lane writes to why it ends, and takes in what
// the other still sends until it has answered: a connection that is closed on
// unread bytes takes what was sent with it. Early is what was read already.
func (l *lane) part(early []byte) {
	p := l.t.parted.Load()
	if p == nil {
		return
	}
	if !l.closed {
		l.to.Write(closeFrame(p.cause, l.up))
	}
	l.from.SetReadDeadline(p.until)
	buf := make([]byte, smallBuffer+len(early))
	have := copy(buf, early)
	for !l.closed {
		used, closed := l.skim(buf[:have])
		if closed {
			return
		}
		have = copy(buf, buf[used:have])
		n, err := l.from.Read(buf[have:])
		if have += n; n == 0 && err != nil && !l.goOn(err) {
			return
		}
	}
}

// skim takes in what is no longer passed on, up to a close frame.
func (l *lane) skim(data []byte) (used int, closed bool) {
	for {
		n := min(uint64(len(data)-used), l.left)
		if used, l.left = used+int(n), l.left-n; l.left > 0 {
			return used, false
		}
		size, op, ok := frameSize(data[used:])
		if !ok {
			return used, false
		}
		if op == opClose {
			return used, true
		}
		l.left = size
	}
}

// closeFrame says why the gate ends a WebSocket; what goes to the upstream is
// masked as a client's must be, with a mask that changes nothing.
func closeFrame(cause error, masked bool) []byte {
	status, reason := uint16(closeLater), ""
	var known *app.Error
	if errors.As(cause, &known) {
		reason = known.Code[:min(len(known.Code), 100)] // a control frame holds 125 bytes
		if known.Kind == app.KindPayment {
			status = closePolicy
		}
	}
	b := []byte{0x80 | opClose, byte(2 + len(reason))}
	if masked {
		b[1] |= 0x80
		b = append(b, 0, 0, 0, 0)
	}
	return append(binary.BigEndian.AppendUint16(b, status), reason...)
}
