package demo

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Traffic sends what the clients want to send to the gate, until it is stopped.
type Traffic struct {
	Gateway string // base URL
	Clients []Client
	HTTP    *http.Client
	Now     func() time.Time
	Seed    uint64 // of the random choices
}

// Run sends traffic until the context ends, and returns when every request has
// come back.
func (t *Traffic) Run(ctx context.Context) {
	var all sync.WaitGroup
	start := t.Now()
	for i, client := range t.Clients {
		random := rand.New(rand.NewPCG(t.Seed, uint64(i)))
		all.Go(func() { t.drive(ctx, client, start, random) })
	}
	all.Wait()
}

// drive sends one client's requests. They overlap, as those of many people do.
func (t *Traffic) drive(ctx context.Context, client Client, start time.Time, random *rand.Rand) {
	var open sync.WaitGroup
	defer open.Wait()
	slots := make(chan struct{}, 16)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		since := t.Now().Sub(start)
		if client.rate(since) > 0 {
			call := choose(client, random)
			select {
			case slots <- struct{}{}:
				open.Go(func() {
					t.send(ctx, call)
					<-slots
				})
			default: // it waits for its answers, like anybody
			}
		}
		timer.Reset(client.pause(since, random))
	}
}

// call is one request that a client makes.
type call struct {
	method, path, body string
	key, address       string
	socket             bool
}

// choose draws the client's next request.
func choose(client Client, random *rand.Rand) call {
	c := call{method: http.MethodGet, path: "/v1/documents", key: client.Key, address: client.Address}
	if client.Shape == ShapeAbusive {
		c.key = fmt.Sprintf("gk_live_%036d", random.Uint64())
		c.address = fmt.Sprintf("198.51.100.%d", 1+random.IntN(2))
		return c
	}
	switch n := random.IntN(100); {
	case n < 62:
	case n < 78:
		c.method, c.body = http.MethodPost, fmt.Sprintf(`{"title": "Report %d"}`, random.IntN(1000))
	case n < 86:
		c.path = fmt.Sprintf("/v1/documents/%d", 1+random.IntN(120))
	case n < 93:
		c.path = fmt.Sprintf("/v1/slow?ms=%d", 50+random.IntN(500))
	case n < 96:
		c.path = "/v1/stream?n=3"
	case n < 98:
		c.path, c.socket = "/v1/socket", true
	default:
		c.path = "/v1/fail"
	}
	return c
}

// send makes the request and reads its answer. What it is does not matter:
// the console shows it.
func (t *Traffic) send(ctx context.Context, c call) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if c.socket {
		t.talk(ctx, c)
		return
	}
	request, err := http.NewRequestWithContext(ctx, c.method, t.Gateway+c.path, strings.NewReader(c.body))
	if err != nil {
		return
	}
	request.Header = c.header()
	answer, err := t.HTTP.Do(request)
	if err != nil {
		return
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
}

func (c call) header() http.Header {
	h := http.Header{"Authorization": {"Bearer " + c.key}, "User-Agent": {"gatehouse-demo"}}
	if c.address != "" {
		h["X-Forwarded-For"] = []string{c.address}
	}
	if c.body != "" {
		h["Content-Type"] = []string{"application/json"}
	}
	return h
}

// talk opens a WebSocket, says something, hears it, and hangs up.
func (t *Traffic) talk(ctx context.Context, c call) {
	conn, _, err := websocket.Dial(ctx, t.Gateway+c.path, &websocket.DialOptions{HTTPClient: t.HTTP, HTTPHeader: c.header()})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for range 3 {
		if conn.Write(ctx, websocket.MessageText, []byte("hello")) != nil {
			return
		}
		if _, _, err := conn.Read(ctx); err != nil {
			return
		}
	}
	conn.Close(websocket.StatusNormalClosure, "")
}
