package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"time"

	"gatehouse/app"
	"gatehouse/web/respond"
)

// Idempotency remembers answers for callers that repeat a request; the store does.
type Idempotency interface {
	BeginIdempotency(ctx context.Context, r app.Idempotency) (answer app.IdempotentAnswer, found bool, err error)
	FinishIdempotency(ctx context.Context, r app.Idempotency, answer app.IdempotentAnswer) error
	DropIdempotency(ctx context.Context, r app.Idempotency) error
}

// Sealer encrypts what is kept; app.Sealer does.
type Sealer interface {
	Seal(purpose string, secret []byte) []byte
	Open(purpose string, sealed []byte) ([]byte, error)
}

const (
	headerIdempotencyKey = "Idempotency-Key"
	headerReplayed       = "Idempotency-Replayed"
	maxIdempotencyKey    = 255
	creationTimeout      = 30 * time.Second // a Creation goes on when its caller leaves, but not for ever
)

// once runs a Creation at most once for the caller's Idempotency-Key. Without
// the header it just runs it.
func (x *API) once(w http.ResponseWriter, r *http.Request, actor app.Actor, body []byte, create respond.Handler) error {
	values := r.Header[headerIdempotencyKey]
	if len(values) == 0 {
		return create(w, r)
	}
	if len(values) > 1 || !saneIdempotencyKey(values[0]) {
		return app.Invalid(headerIdempotencyKey, "must be one value of 1–%d visible ASCII characters", maxIdempotencyKey)
	}
	claim := app.Idempotency{Actor: actor.String(), Key: values[0], Request: requestHash(r, body), At: x.Now()}
	// The caller may leave while the Creation runs; when it asks again it must
	// find the answer, not a Creation that was cut off.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), creationTimeout)
	defer cancel()
	kept, found, err := x.Idempotency.BeginIdempotency(ctx, claim)
	if err != nil {
		return err
	}
	if found {
		return x.replay(w, claim, kept)
	}
	answer := &capture{header: w.Header()}
	if err := create(answer, r.WithContext(ctx)); err != nil {
		return errors.Join(err, x.release(ctx, claim, err))
	}
	x.keep(ctx, claim, answer)
	w.WriteHeader(answer.status)
	w.Write(answer.body.Bytes()) // an error here means that the client is gone
	return nil
}

func saneIdempotencyKey(key string) bool {
	if len(key) == 0 || len(key) > maxIdempotencyKey {
		return false
	}
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

func requestHash(r *http.Request, body []byte) [32]byte {
	hash := sha256.New()
	io.WriteString(hash, r.Method+" "+r.URL.RequestURI()+"\n")
	hash.Write(body)
	return [32]byte(hash.Sum(nil))
}

// replay answers what the first request was answered.
func (x *API) replay(w http.ResponseWriter, claim app.Idempotency, kept app.IdempotentAnswer) error {
	body, err := x.Sealer.Open(sealPurpose(claim), kept.Body)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set(headerReplayed, "true")
	w.WriteHeader(kept.Status)
	w.Write(body) // an error here means that the client is gone
	return nil
}

// release frees the key after a refusal: it had no effect. After any other
// error nobody knows, so the key stays taken.
func (x *API) release(ctx context.Context, claim app.Idempotency, cause error) error {
	switch app.AsError(cause).Kind {
	case app.KindInvalid, app.KindForbidden, app.KindNotFound, app.KindConflict, app.KindTooLarge, app.KindPayment, app.KindRateLimited:
		return x.Idempotency.DropIdempotency(ctx, claim)
	}
	return nil
}

// keep stores the answer. When that fails the Creation has still happened, so
// the caller gets its answer, and a repetition is told that nobody knows.
func (x *API) keep(ctx context.Context, claim app.Idempotency, answer *capture) {
	sealed := x.Sealer.Seal(sealPurpose(claim), answer.body.Bytes())
	err := x.Idempotency.FinishIdempotency(ctx, claim, app.IdempotentAnswer{Status: answer.status, Body: sealed})
	if err != nil {
		x.Respond.Log.ErrorContext(ctx, "idempotent answer not kept", "error", err)
	}
}

// sealPurpose binds the sealed answer to its caller and its key.
func sealPurpose(claim app.Idempotency) string { return "idempotency:" + claim.Actor + ":" + claim.Key }

// capture holds an answer back until it is kept.
type capture struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (c *capture) Header() http.Header { return c.header }

// WriteHeader implements http.ResponseWriter.
func (c *capture) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

// Write implements http.ResponseWriter.
func (c *capture) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	return c.body.Write(p)
}
