package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/app"
)

// line is a WebSocket through the gate whose both ends the test holds, byte by
// byte.
type line struct {
	t         *testing.T
	s         *stage
	org       app.Org
	ticks     chan time.Time
	near, far net.Conn
	nearIn    *bufio.Reader
	farIn     *bufio.Reader
}

func openLine(t *testing.T, quotas ...app.Quota) *line {
	t.Helper()
	l := &line{t: t, s: newStage(t, granting(quotas...)), ticks: make(chan time.Time)}
	far := make(chan net.Conn, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		far <- c
	}))
	t.Cleanup(upstream.Close)
	l.s.routing([]app.Upstream{{Name: "far", Addresses: []string{upstream.URL}}}, app.Route{Name: "far", Upstream: "far"})
	l.s.gate.SetTicker(func(time.Duration) (<-chan time.Time, func()) { return l.ticks, func() {} })
	l.org = l.s.org("Acme")
	var err error
	l.near, err = net.Dial("tcp", strings.TrimPrefix(l.s.url, "http://"))
	l.s.apply(l.near, err)
	fmt.Fprintf(l.near, "GET /live HTTP/1.1\r\nHost: x\r\n%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", bearer(l.s.key(l.org.ID).Secret))
	l.nearIn = bufio.NewReader(l.near)
	got, err := http.ReadResponse(l.nearIn, nil)
	if err != nil || got.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", got, err)
	}
	l.far = <-far
	l.farIn = bufio.NewReader(l.far)
	for _, c := range []net.Conn{l.near, l.far} {
		c.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { c.Close() })
	}
	return l
}

// exhaust lets the time be asked for until there is none.
func (l *line) exhaust() {
	l.t.Helper()
	for range 2 { // what is left is used to its end
		select {
		case l.ticks <- time.Now():
		case <-time.After(patience):
			l.t.Fatal("nobody asks for further seconds")
		}
	}
}

// frame writes a frame's bytes; wide is how many bytes its length takes.
func frame(head byte, payload []byte, masked bool, wide int) []byte {
	b := []byte{head}
	switch wide {
	case 1:
		b = append(b, byte(len(payload)))
	case 2:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(len(payload)))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(len(payload)))
	}
	if masked {
		b[1] |= 0x80
		b = append(b, 1, 2, 3, 4)
	}
	start := len(b)
	b = append(b, payload...)
	for i := range payload {
		if masked {
			b[start+i] ^= byte(i%4 + 1)
		}
	}
	return b
}

// arrives reads exactly these bytes.
func (l *line) arrives(from io.Reader, want []byte) {
	l.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil || !bytes.Equal(got, want) {
		l.t.Fatalf("%v: %.40x…, want %.40x…", err, got, want)
	}
}

var (
	policyToClient = append([]byte{0x88, 17, 0x03, 0xf0}, "quota_exhausted"...)
	policyToApp    = append([]byte{0x88, 0x80 | 17, 0, 0, 0, 0, 0x03, 0xf0}, "quota_exhausted"...)
)

// ended waits for the end of a connection: nothing more may come.
func (l *line) ended(from io.Reader) {
	l.t.Helper()
	rest, err := io.ReadAll(from)
	var slow net.Error
	if len(rest) > 0 || errors.As(err, &slow) && slow.Timeout() {
		l.t.Errorf("%d bytes more: %.40x…, %v", len(rest), rest, err)
	}
}

// spent waits until the socket is settled, and returns what it took.
func (l *line) spent(meter string) int64 {
	l.t.Helper()
	l.near.Close()
	l.far.Close()
	awaitThat(l.t, "the socket is closed", func() bool { return l.s.gate.Sockets() == 0 })
	state := l.s.account(l.org.ID, "", meter)
	if state.Held != 0 {
		l.t.Errorf("%d are held", state.Held)
	}
	return state.Spent
}

// When its seconds are used up, both sides of a WebSocket are told why, behind
// the frame that is on its way.
func TestAWebSocketIsToldThatItsQuotaIsExhausted(t *testing.T) {
	message := frame(0x81, []byte("hello"), false, 1)
	long := frame(0x82, bytes.Repeat([]byte("x"), 100_000), false, 8)
	question := frame(0x81, bytes.Repeat([]byte("y"), 200), true, 2)
	for _, row := range []struct {
		name string
		run  func(l *line)
	}{
		{"while nothing moves", func(l *line) { l.exhaust() }},
		{"between messages", func(l *line) {
			l.far.Write(message)
			l.arrives(l.nearIn, message)
			l.near.Write(question)
			l.arrives(l.farIn, question)
			l.exhaust()
		}},
		{"while the client alone sends", func(l *line) {
			for range 50 {
				l.near.Write(question)
				l.arrives(l.farIn, question)
			}
			l.exhaust()
		}},
		{"amid a long frame", func(l *line) {
			l.far.Write(long[:60_000])
			l.arrives(l.nearIn, long[:60_000])
			l.exhaust()
			l.far.Write(long[60_000:])
			l.arrives(l.nearIn, long[60_000:])
		}},
		{"amid a frame's header", func(l *line) {
			l.far.Write(long[:5])
			l.far.Write([]byte{})
			l.exhaust()
		}},
		{"between the parts of a message", func(l *line) {
			part, ping := frame(0x01, []byte("hel"), false, 1), frame(0x89, nil, false, 1)
			l.far.Write(append(part, ping...))
			l.arrives(l.nearIn, append(part, ping...))
			l.exhaust()
		}},
		{"amid a frame of the client", func(l *line) {
			l.near.Write(question[:100])
			l.arrives(l.farIn, question[:100])
			l.exhaust()
			l.near.Write(question[100:])
			l.arrives(l.farIn, question[100:])
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := openLine(t, monthly("websocket_seconds", 10))
			row.run(l)
			l.arrives(l.nearIn, policyToClient)
			l.arrives(l.farIn, policyToApp)
			l.near.Write(append(question, frame(0x88, []byte{3, 0xf0}, true, 1)...)) // nothing passes behind the end
			l.far.Write(append(message, frame(0x88, []byte{3, 0xf0}, false, 1)...))
			l.ended(l.nearIn)
			l.ended(l.farIn)
			if n := l.spent("websocket_seconds"); n < 1 || n > 10 {
				t.Errorf("%d seconds spent", n)
			}
		})
	}
}

// A frame that does not end is cut, and so is a side that does not answer.
func TestAWebSocketThatDoesNotEndIsCut(t *testing.T) {
	l := openLine(t, monthly("websocket_seconds", 10))
	endless := frame(0x82, bytes.Repeat([]byte("x"), 100_000), false, 8)
	l.far.Write(endless[:1000])
	l.arrives(l.nearIn, endless[:1000])
	l.exhaust()
	l.ended(l.nearIn)
	l.arrives(l.farIn, policyToApp) // that side had a boundary
	l.ended(l.farIn)
	if n := l.spent("websocket_seconds"); n < 1 || n > 10 {
		t.Errorf("%d seconds spent", n)
	}
}

// The close frame of one side is not followed by another.
func TestAWebSocketThatIsClosingIsNotToldTwice(t *testing.T) {
	l := openLine(t, monthly("websocket_seconds", 10))
	bye := frame(0x88, []byte{3, 0xe8}, false, 1)
	l.far.Write(bye)
	l.arrives(l.nearIn, bye)
	l.exhaust()
	l.arrives(l.farIn, policyToApp)
	l.near.Write(frame(0x88, []byte{3, 0xe8}, true, 1))
	l.ended(l.nearIn)
}

// Bytes of a WebSocket are reserved by whole frames: what is not covered does
// not begin, and both sides are told.
func TestAQuotaOfBytesOfAWebSocket(t *testing.T) {
	const limit = 150_000
	for _, size := range []int{500, 10_000, limit} {
		l := openLine(t, monthly("bytes", limit))
		message, passed := frame(0x82, bytes.Repeat([]byte("x"), size), false, 8), 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 2*limit/size + 1 {
				if _, err := l.far.Write(message); err != nil {
					return
				}
			}
		}()
		for {
			head, err := l.nearIn.Peek(2)
			if err != nil {
				t.Fatal(err)
			}
			if head[0] == 0x88 {
				break
			}
			l.arrives(l.nearIn, message)
			passed += len(message)
		}
		l.arrives(l.nearIn, policyToClient)
		l.arrives(l.farIn, policyToApp)
		if left := limit - passed; left < 0 || left >= len(message) {
			t.Errorf("messages of %d: %d of %d passed", len(message), passed, limit)
		}
		l.near.Write(frame(0x88, []byte{3, 0xf0}, true, 1))
		l.ended(l.nearIn)
		if n := l.spent("bytes"); n != int64(passed) {
			t.Errorf("%d spent, %d passed", n, passed)
		}
		<-done
	}
}

// A WebSocket's seconds are reserved ahead while it lives: one that ends by
// itself takes what it lasted.
func TestAQuotaOfWebSocketSeconds(t *testing.T) {
	s := newStage(t, granting(monthly("websocket_seconds", 100)))
	org := s.org("Acme")
	key := bearer(s.key(org.ID).Secret)
	ticks := make(chan time.Time)
	s.gate.SetTicker(func(time.Duration) (<-chan time.Time, func()) { return ticks, func() {} })
	socket, _, err := websocket.Dial(t.Context(), s.url+"/socket", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {key[15:]}}})
	s.apply(socket, err)
	for range 3 {
		select {
		case ticks <- time.Now():
		case <-time.After(patience):
			t.Fatal("nobody asks for further seconds")
		}
		s.apply(nil, socket.Write(t.Context(), websocket.MessageText, []byte("hello")))
		_, _, err := socket.Read(t.Context())
		s.apply(nil, err)
	}
	socket.Close(websocket.StatusNormalClosure, "")
	awaitThat(t, "the socket is closed", func() bool { return s.gate.Sockets() == 0 })
	if state := s.account(org.ID, "", "websocket_seconds"); state.Spent < 1 || state.Spent > 50 || state.Held != 0 {
		t.Errorf("%d spent, %d held, want what it lasted", state.Spent, state.Held)
	}
}

// A quota that is exhausted lets no WebSocket in.
func TestNoSecondsNoSocket(t *testing.T) {
	s := newStage(t, granting(monthly("websocket_seconds", 0)))
	key := bearer(s.key(s.org("Acme").ID).Secret)
	_, got, err := websocket.Dial(t.Context(), s.url+"/socket", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {key[15:]}}})
	if err == nil || got.StatusCode != 402 {
		t.Errorf("%v %v", got, err)
	}
}
