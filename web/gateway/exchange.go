package gateway

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"gatehouse/app"
	"gatehouse/app/limit"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/web/gateway/clientaddr"
	"gatehouse/web/gateway/upstream"
	"gatehouse/web/respond"
)

// exchange is one request on its way through the gate. Exchanges are reused:
// nothing of one may be held after leave.
type exchange struct {
	g         *Gateway
	w         http.ResponseWriter
	r         *http.Request
	start     time.Time
	from      netip.Addr
	trusted   bool // the peer is a trusted proxy
	requestID string
	upgrade   bool

	book       *book
	route      *route
	credential *credential // nil: anonymous, or refused before it was known
	admission  *admission  // nil likewise
	decision   limit.Decision
	weight     int64         // units the request takes
	places     []*limit.Pool // taken, to be given back
	inFlight   bool          // the first of places is one in flight
	socket     bool          // a WebSocket of the node is taken

	hold  *quota.Hold // room for what quotas reserve for it
	held  bool        // there is something in it
	draws []app.Draw  // room
	asks  checked     // of /v1/check: what it counts in place of requests
	paid  *paidCall   // of an egress route

	bytes         *byteSteps // where a hard quota stops them; nil: nothing does
	lasting       *timeSteps // likewise
	seconds       *timeSteps // of a WebSocket, likewise
	socketSeconds bool       // they are counted
	leash         *leash     // nil: nothing ends it from beside

	ticket    metering.Ticket
	metered   bool
	doubtful  bool // the ledger did not say that it counts it
	forwarded bool // it passed the gate
	recorded  bool // all that is to be told of it was told
	own       time.Duration
	out       upstream.Outgoing
	result    upstream.Result
	fields    []byte // room for the RateLimit field
}

var exchanges = sync.Pool{New: func() any {
	x := &exchange{}
	x.out.Before, x.out.Upgraded = x.beforeAnswer, x.upgraded // bound once: a method value costs an allocation
	return x
}}

func newExchange(g *Gateway, w http.ResponseWriter, r *http.Request) *exchange {
	x := exchanges.Get().(*exchange)
	before, upgraded, places, fields, hold, draws := x.out.Before, x.out.Upgraded, x.places[:0], x.fields[:0], x.hold, x.draws[:0]
	*x = exchange{g: g, w: w, r: r, start: g.Now(), places: places, fields: fields, hold: hold, draws: draws}
	x.out.Before, x.out.Upgraded = before, upgraded
	return x
}

// leave gives back what the request held, and the exchange. One that a panic
// ended is not reused: what the panic left behind may still hold it.
func (x *exchange) leave() {
	for _, pool := range x.places {
		pool.Release()
	}
	if x.socket {
		x.g.sockets.release(x.from)
	}
	if x.metered { // nobody came to say how it ended
		x.settle(x.unknown())
	}
	x.release()
	x.leash.slip()
	if !x.recorded {
		return
	}
	x.w, x.r = nil, nil
	exchanges.Put(x)
}

// upgraded gives back the place in flight of a request that became a
// WebSocket: it has a place of its own, for hours maybe.
func (x *exchange) upgraded() {
	if x.inFlight {
		x.places[0].Release()
		x.places = append(x.places[:0], x.places[1:]...)
		x.inFlight = false
	}
	x.leash.upgraded()
	if x.seconds != nil {
		x.seconds.run(time.Now())
	}
}

// enter finds out what the request is, before anything is asked about it: its
// id, its client, its route.
func (x *exchange) enter() error {
	x.requestID = respond.AssignRequestID(x.w, x.r)
	x.from, x.trusted = clientaddr.Of(x.r, x.g.Trusted)
	x.upgrade = isUpgrade(x.r)
	x.book = x.g.book.Load()
	if err := x.find(x.r.Method, x.r.Host, x.r.URL.EscapedPath()); err != nil {
		return err
	}
	if x.route == nil {
		return errNoRoute()
	}
	if x.r.ContentLength > x.route.BodyLimit {
		return errBodyTooLarge(x.route.BodyLimit)
	}
	return nil
}

// find finds the route; x.route stays nil where there is none.
func (x *exchange) find(method, host, escapedPath string) error {
	found, err := x.book.table.Find(method, host, escapedPath)
	if err != nil || found.Route < 0 {
		return err
	}
	x.route = x.book.routes[found.Route]
	x.weight = x.route.weight
	if found.Closed {
		return errClosed()
	}
	return nil
}

// stripInbound removes what only the gate may say to the app. CGI and WSGI
// read "_" and "-" alike, some servers any sign, so no such spelling passes.
func stripInbound(h http.Header) {
	for name := range h {
		if len(name) >= len(headerPrefix) && (name[0] == 'X' || name[0] == 'x') && isOurs(name) {
			delete(h, name)
		}
	}
}

const headerPrefix = "X-Gatehouse-"

func isOurs(name string) bool {
	for i := range len(headerPrefix) {
		want, got := headerPrefix[i], name[i]
		if want == '-' && isAlphanumeric(got) || want != '-' && got|0x20 != want|0x20 { // letters in lower case
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
