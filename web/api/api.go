package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gatehouse/web/respond"
)

// Options are what the API stands on. Services may be nil where only the
// OpenAPI document is wanted.
type Options struct {
	Services
	Keys        Keys
	Touches     Touches
	Idempotency Idempotency
	Sealer      Sealer
	Address     func(*http.Request) netip.Addr // of the client, behind trusted proxies
	Respond     *respond.Responder
	Now         func() time.Time
	Version     string      // of the running program
	Extra       []Described // calls of other surfaces that the document describes too
}

// API serves /v1.
type API struct {
	Options
	mux      *http.ServeMux
	huma     huma.API
	document []byte
}

// New returns the API. It panics when the table of routes is wrong, which no
// input can bring about.
func New(o Options) *API {
	useOurForm()
	o.Events = ownEvents{o.Events}
	x := &API{Options: o, mux: http.NewServeMux()}
	x.huma = huma.NewAPI(configuration(), (*adapter)(x))
	for _, rt := range x.routes() {
		rt.mount(x.huma, rt)
	}
	for _, described := range o.Extra {
		described.add(x.huma)
	}
	finish(x.huma.OpenAPI())
	x.document = render(x.huma.OpenAPI())
	x.mux.Handle("GET /v1/openapi.json", x.Respond.Handle(x.serveDocument))
	return x
}

// Document is the OpenAPI 3.1 document in JSON.
func (x *API) Document() []byte { return x.document }

func render(document *huma.OpenAPI) []byte {
	compact, err := json.Marshal(document)
	if err != nil {
		panic(fmt.Sprintf("api: the OpenAPI document cannot be written: %v", err))
	}
	return append(indented(compact), '\n')
}

func (x *API) serveDocument(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.Write(x.document) // an error here means that the client is gone
	return nil
}

// ServeHTTP implements http.Handler. What the mux itself would answer in plain
// text (404, 405) leaves as problem+json.
func (x *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler, pattern := x.mux.Handler(r)
	if pattern != "" {
		x.mux.ServeHTTP(w, r)
		return
	}
	x.Respond.Handle(func(w http.ResponseWriter, r *http.Request) error { return unmatched(w, r, handler) }).ServeHTTP(w, r)
}

// adapter mounts huma's operations on the mux, behind identification,
// permission and idempotency.
type adapter API

// ServeHTTP implements huma.Adapter.
func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*API)(a).ServeHTTP(w, r) }

// Handle implements huma.Adapter.
func (a *adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	x := (*API)(a)
	takesBody := op.RequestBody != nil
	a.mux.Handle(op.Method+" "+op.Path, x.Respond.Handle(func(w http.ResponseWriter, r *http.Request) error {
		actor, err := x.identify(r)
		if err != nil {
			return err
		}
		respond.Note(w, actor)
		if err := op.Metadata[metaWho].(who).check(actor); err != nil {
			return err
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		var body []byte
		if takesBody {
			if body, err = readBody(w, r); err != nil {
				return err
			}
			if err := checkText(body); err != nil {
				return err
			}
		}
		run := func(w http.ResponseWriter, r *http.Request) error {
			c := newCall(op, w, r, actor)
			handler(c)
			return c.err
		}
		if op.Metadata[metaCreates] == true {
			return x.once(w, r, actor, body, run)
		}
		return run(w, r)
	}))
}

// Keys under which an operation carries what only the adapter reads.
const (
	metaWho     = "who"
	metaCreates = "creates"
)

// withActor runs a handler with the actor that the adapter identified.
func withActor[I, O any](handler handlerOf[I, O]) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) { return handler(ctx, actorOf(ctx), in) }
}
