package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"sync"

	"gatehouse/app"
	"gatehouse/app/quota"
)

// Steps in which bytes of unknown length are reserved: as many again as were
// reserved so far, within these bounds.
const (
	leastBytes = 64 << 10
	mostBytes  = 4 << 20
)

// Directions of bytes.
const (
	toClient = iota
	toApp
)

// byteSteps is a hard quota of bytes: what passes is reserved before it passes.
// Bytes of known length, of the request or the answer, are reserved at once.
type byteSteps struct {
	steps
	mu   sync.Mutex
	due  [2]int64 // of the reserved: what is known to come
	used [2]int64 // what passed
	told [2]int64 // of it, what settled steps told
	over bool
}

// errOver answers bytes that come when the request is settled.
var errOver = errors.New("the request is over")

func newByteSteps(x *exchange, line *quota.Line, received int64) *byteSteps {
	b := &byteSteps{steps: steps{x: x, meter: app.MeterBytes, line: line, first: received + leastBytes, least: received}}
	b.due[toApp] = received
	b.outcome = b.tell
	x.out.Pass, x.out.Frame, x.out.Framed = b.pass, b.frame, true
	return b
}

// pass takes room for n bytes. Where not all of them are covered, it says how
// many are, and why not the rest.
func (b *byteSteps) pass(up bool, n int64) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return 0, errOver
	}
	way := toClient
	if up {
		way = toApp
	}
	for {
		room := b.room(way)
		if room >= n {
			b.take(way, n)
			return n, nil
		}
		if err := b.ask(1, n-room); err != nil {
			room = max(0, room)
			b.take(way, room)
			return room, err
		}
	}
}

// frame takes room for all of n bytes, or for none.
func (b *byteSteps) frame(up bool, n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return errOver
	}
	way := toClient
	if up {
		way = toApp
	}
	if lack := n - b.room(way); lack > 0 {
		if err := b.ask(lack, lack); err != nil {
			return err
		}
	}
	b.take(way, n)
	return nil
}

// expect reserves an answer of known length as a whole.
func (b *byteSteps) expect(length int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if lack := length - b.room(toClient); lack > 0 {
		if err := b.grow(b.x.r.Context(), lack, lack); err != nil {
			return err
		}
	}
	b.due[toClient] += length
	return nil
}

// room is what may pass that way without asking.
func (b *byteSteps) room(way int) int64 {
	return b.reserved - b.used[toClient] - b.used[toApp] - b.due[1-way]
}

func (b *byteSteps) take(way int, n int64) {
	b.used[way] += n
	b.due[way] -= min(n, b.due[way])
}

// ask reserves at least least, and more for what follows where that is covered.
func (b *byteSteps) ask(least, lack int64) error {
	b.settleUsed(b.used[toClient] + b.used[toApp])
	ahead := min(max(b.reserved, leastBytes), mostBytes)
	return b.grow(b.x.r.Context(), least, max(lack, ahead))
}

// tell is the outcome of a step: which way its bytes went.
func (b *byteSteps) tell(share int64) app.Outcome {
	in := min(share, max(0, b.used[toApp]-b.told[toApp]))
	b.told[toApp] += in
	b.told[toClient] += share - in
	return app.Outcome{BytesIn: in, BytesOut: share - in}
}

// settle settles the steps; the outcome keeps what is the first one's.
func (b *byteSteps) settle(out app.Outcome) app.Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	b.used = [2]int64{toClient: out.BytesOut, toApp: out.BytesIn}
	b.steps.settle(out.BytesIn + out.BytesOut)
	out.BytesIn, out.BytesOut = max(0, out.BytesIn-b.told[toApp]), max(0, out.BytesOut-b.told[toClient])
	return out
}

// passed is what has passed so far.
func (b *byteSteps) passed() (in, out int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used[toApp], b.used[toClient]
}

// answerLength is the length of an answer's body, where its head tells it.
func answerLength(method string, status int, h http.Header) int64 {
	if method == http.MethodHead || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified {
		return 0
	}
	if length := h["Content-Length"]; len(length) > 0 {
		if n, err := strconv.ParseInt(length[0], 10, 64); err == nil && n > 0 {
			return n
		}
	}
	return 0
}
