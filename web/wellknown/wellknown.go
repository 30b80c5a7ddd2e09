package wellknown

import (
	"context"
	"net/http"

	"gatehouse/app"
	"gatehouse/web/respond"
)

// keysLife is how long others may cache the public keys. A new signing key is
// published for longer than this before it signs.
const keysLife = "public, max-age=300"

// Pages are the machine's pages. A nil field is not served.
type Pages struct {
	Readiness *Readiness
	Metrics   http.Handler // see MetricsHandler
	// Keys returns the JWKS document: the public keys that verify assertions.
	Keys func(ctx context.Context) ([]byte, error)
	// Respond answers when Keys fails.
	Respond *respond.Responder
}

// Mount puts the pages onto a listener's mux. Metrics go where the operator
// wants them, so they have a switch of their own.
func (p *Pages) Mount(mux *http.ServeMux, withMetrics bool) {
	mux.HandleFunc("GET /healthz", healthy)
	if p.Readiness != nil {
		mux.Handle("GET /readyz", p.Readiness)
	}
	if p.Keys != nil {
		mux.Handle("GET /.well-known/jwks.json", p.Respond.Handle(p.keys))
	}
	if withMetrics && p.Metrics != nil {
		mux.Handle("GET /metrics", p.Metrics)
	}
}

// healthy says that the process answers; what it depends on is readyz's matter.
func healthy(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	w.Write([]byte("{\"status\":\"ok\"}\n")) // an error here means that the client is gone
}

func (p *Pages) keys(w http.ResponseWriter, r *http.Request) error {
	document, err := p.Keys(r.Context())
	if err != nil {
		return &app.Error{Kind: app.KindUnavailable, Code: "keys_unavailable",
			Message: "The public keys cannot be read at the moment.", Advice: "Try again shortly.",
			RetryAfter: checkLife, Err: err}
	}
	header := w.Header()
	header.Set("Content-Type", "application/jwk-set+json")
	header.Set("Cache-Control", keysLife)
	w.Write(document) // an error here means that the client is gone
	return nil
}
