package respond

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"gatehouse/app"
)

// Handler is a handler that may fail: what it returns becomes the answer, so
// it must not have answered itself.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Responder runs the handlers of one surface (gateway, api, console).
type Responder struct {
	Surface string // what the access log calls it
	Log     *slog.Logger
	Access  *AccessLog // nil: no access log
	Now     func() time.Time
	Observe func(status int, took time.Duration) // metrics of the surface; may be nil
	// Page answers a browser with an error page; nil answers everyone with
	// problem+json. It writes status, header and body.
	Page func(w http.ResponseWriter, r *http.Request, status int, e *app.Error)
}

var errNoError = errors.New("a handler failed without saying why")

// Handle makes an http.Handler of h.
func (x *Responder) Handle(h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			x.Fail(w, r, err)
		}
	})
}

// Fail answers with the error and logs it when the fault is ours. After the
// header has left it cuts the connection, so that nobody takes half an answer
// for a whole one.
func (x *Responder) Fail(w http.ResponseWriter, r *http.Request, err error) {
	e := app.AsError(err)
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		e = &app.Error{Kind: app.KindCancelled, Code: "client_left", Message: "The client left.", Err: err}
	}
	x.report(w, r, e)
	writer := find(w)
	if writer != nil {
		writer.Code = e.Code
		if writer.Sent() {
			panic(http.ErrAbortHandler)
		}
	}
	if x.Page != nil && WantsHTML(r) {
		status := Status(e)
		if e.RetryAfter > 0 {
			w.Header()["Retry-After"] = RetryAfter(e.RetryAfter)
		}
		w.Header()["Cache-Control"] = noStore
		x.Page(w, r, status, e)
		return
	}
	Problem(w, r, e)
}

// report logs what the operator must know of: our own faults, and what is
// away. Refusals are counted elsewhere, not logged.
func (x *Responder) report(w http.ResponseWriter, r *http.Request, e *app.Error) {
	level := slog.LevelError
	switch {
	case e.Kind == app.KindInternal:
	case e.Err != nil && (e.Kind == app.KindUnavailable || e.Kind == app.KindTimeout || e.Kind == app.KindBadGateway):
		level = slog.LevelWarn
	default:
		return
	}
	x.Log.LogAttrs(r.Context(), level, "request failed", slog.String("surface", x.Surface),
		slog.String("request_id", RequestID(w)), slog.String("method", r.Method),
		slog.String("path", SafePath(r.URL.Path)), slog.String("code", e.Code), slog.String("error", e.Error()))
}

// Wrap is the outermost layer of a surface: it gives each request its id,
// turns a panic into an error, and writes the access log line.
func (x *Responder) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		start := x.Now()
		w := &Writer{ResponseWriter: rw}
		id := AssignRequestID(w, r)
		method, host, path := r.Method, r.Host, r.URL.Path
		defer func() {
			aborted := x.recovered(w, r, recover())
			took := x.Now().Sub(start)
			if x.Observe != nil {
				x.Observe(w.Status, took)
			}
			x.Access.Record(Entry{At: start, Surface: x.Surface, RequestID: id, Method: method, Host: host,
				Path: path, Status: w.Status, BytesIn: max(r.ContentLength, 0), BytesOut: w.Bytes,
				Duration: took, Address: r.RemoteAddr, Actor: w.Actor, Code: w.Code})
			if aborted {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(w, r)
		if !w.Sent() {
			w.Status = http.StatusOK // net/http sends it for a handler that wrote nothing
		}
	})
}

// recovered deals with a panic's value and reports whether the connection
// must be cut.
func (x *Responder) recovered(w *Writer, r *http.Request, value any) (aborted bool) {
	switch value {
	case nil:
		return false
	case http.ErrAbortHandler:
		return true
	}
	e := app.AsError(fmt.Errorf("panic: %v\n%s", value, debug.Stack()))
	w.Code = e.Code
	if w.Sent() {
		x.report(w, r, e)
		return true
	}
	x.Fail(w, r, e)
	return false
}

// WantsHTML reports whether the client is a browser that asks for a page:
// it accepts text/html, and does not name JSON before it.
func WantsHTML(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	html := strings.Index(accept, "text/html")
	json := strings.Index(accept, "application/json")
	return html >= 0 && (json < 0 || html < json)
}

// Missing answers everything with 404; it is what a mux falls back to.
func (x *Responder) Missing() http.Handler {
	return x.Handle(func(http.ResponseWriter, *http.Request) error { return app.NotFound("page") })
}
