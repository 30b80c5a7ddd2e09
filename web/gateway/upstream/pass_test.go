package upstream

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/app"
)

// meterOf lets so many bytes pass, and counts them.
type meterOf struct {
	mu      sync.Mutex
	left    int64
	in, out int64
}

var errUsedUp = &app.Error{Kind: app.KindForbidden, Code: "used_up"}

func (m *meterOf) pass(up bool, n int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := min(n, m.left), error(nil)
	if m.left -= n; m.left == 0 {
		err = errUsedUp
	}
	if up {
		m.in += n
	} else {
		m.out += n
	}
	return n, err
}

// Whatever passes, passes alike when it is asked for first.
func TestCasesThatAreAskedAbout(t *testing.T) {
	for _, road := range roads {
		for _, c := range proxyCases {
			t.Run(road.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				m := &meterOf{left: 1 << 40}
				runCase(t, c, road.stockOnly, func(out *Outgoing) { out.Pass = m.pass })
			})
		}
	}
}

// What may not pass is broken off behind the last byte that may: an answer so
// that its client notices, a request's body so that the app sees none whole.
func TestNoMoreThanMayPassPasses(t *testing.T) {
	const size = 100_000
	answer := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n" + strings.Repeat("x", size) + "\r\n0\r\n\r\n"
	for _, road := range roads {
		for _, most := range []int64{0, 1, 4096, 50_000, size - 1} {
			m := &meterOf{left: most}
			up := startRaw(t, reply(answer))
			gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, stock: road.stockOnly,
				out: func(_ *http.Request, out *Outgoing) { out.Pass = m.pass }})
			g := exchangeRaw(t, gate.address(), get)
			if g.status != 200 || !g.aborted || int64(len(g.body)) != most {
				t.Errorf("%s: of %d: %d, %d bytes, aborted %v", road.name, most, g.status, len(g.body), g.aborted)
			}
			if result := <-gate.done; result.BytesOut != most || !errors.Is(result.Err, errUsedUp) {
				t.Errorf("%s: of %d: %d bytes, %v", road.name, most, result.BytesOut, result.Err)
			}
		}
	}
}

func TestNoMoreOfABodyThanMayPassPasses(t *testing.T) {
	var whole atomic.Int64
	up := startRaw(t, func(_ int, c net.Conn, r *http.Request) {
		whole.Add(1)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	m := &meterOf{left: 50_000}
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}},
		out: func(_ *http.Request, out *Outgoing) { out.Pass = m.pass }})
	g := exchangeRaw(t, gate.address(), "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n"+strings.Repeat("x", 100_000)+"\r\n0\r\n\r\n")
	if g.status != 403 || g.body != "used_up" {
		t.Errorf("%d %s %v", g.status, g.body, g.err)
	}
	if result := <-gate.done; result.BytesIn > 50_000 || whole.Load() != 0 {
		t.Errorf("%d bytes passed, %d whole requests", result.BytesIn, whole.Load())
	}
}

// A tunnel of which nothing is known is cut behind the last byte that may pass.
func TestATunnelOfCountedBytes(t *testing.T) {
	up := startRaw(t, func(_ int, c net.Conn, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: lines\r\nConnection: Upgrade\r\n\r\n"+strings.Repeat("x", 10_000))
	})
	m := &meterOf{left: 7000}
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}},
		out: func(_ *http.Request, out *Outgoing) { out.Pass, out.Framed = m.pass, true }})
	c, err := net.Dial("tcp", gate.address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n")
	all, _ := io.ReadAll(c)
	if _, body, _ := strings.Cut(string(all), "\r\n\r\n"); len(body) > 7000 {
		t.Errorf("%d bytes passed", len(body))
	}
	if result := <-gate.done; result.BytesOut != 7000 {
		t.Errorf("%d bytes counted", result.BytesOut)
	}
}

// Frames are found wherever their bytes are cut.
func TestFrameSize(t *testing.T) {
	for _, row := range []struct {
		head string
		size uint64
		op   byte
	}{
		{"\x81\x05", 7, 1}, {"\x02\x00", 2, 2}, {"\xc1\x85", 11, 1}, {"\x89\x80", 6, 9}, {"\x88\x02", 4, 8},
		{"\x82\x7e\x01\x00", 4 + 256, 2}, {"\x82\xfe\xff\xff", 8 + 65535, 2},
		{"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10 + 65536, 2}, {"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00", 14 + 65536, 2},
		{"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 14 + 1<<63, 2},
	} {
		for n := range len(row.head) {
			if _, _, ok := frameSize([]byte(row.head[:n])); ok {
				t.Errorf("%q: %d bytes are taken for a header", row.head, n)
			}
		}
		if size, op, ok := frameSize([]byte(row.head)); size != row.size || op != row.op || !ok {
			t.Errorf("%q: %d %d %v", row.head, size, op, ok)
		}
	}
}
