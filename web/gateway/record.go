package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gatehouse/app"
	"gatehouse/app/traffic"
	"gatehouse/web/respond"
)

// record tells everybody who counts how the request ended, and answers it when
// nobody did.
func (g *Gateway) record(x *exchange, err error) {
	status, code := x.result.Status, ""
	if err != nil {
		status, code = g.answer(x, err)
	}
	took := g.Now().Sub(x.start)
	if x.metered {
		x.settle(x.outcome(status, took))
		x.tally(status)
	}
	g.observe(x, status, code, took-x.result.Lasted) // how long a WebSocket stood says nothing of speed
	x.recorded = true
	if g.AccessLog != nil {
		g.access(x, status, code, took)
	}
}

// answer sends the refusal or failure as problem+json.
func (g *Gateway) answer(x *exchange, err error) (status int, code string) {
	known := app.AsError(err)
	if errors.Is(err, context.Canceled) && x.r.Context().Err() != nil {
		known = &app.Error{Kind: app.KindCancelled, Code: "client_left", Message: "The client left.", Err: err}
	}
	g.complain(x, known, err)
	x.limitFields(x.w.Header())
	respond.Problem(x.w, x.r, known)
	return respond.Status(known), known.Code
}

// complain logs what is not the client's fault, each code at most once a
// second: with the app down, every request fails for the same reason.
func (g *Gateway) complain(x *exchange, known *app.Error, err error) {
	level, message := slog.LevelWarn, "request not served"
	switch known.Kind {
	case app.KindInternal:
		level, message = slog.LevelError, "request failed"
	case app.KindUnavailable, app.KindBadGateway, app.KindTimeout:
	default:
		return
	}
	if more, due := g.faults.note(known.Code, x.start); due {
		g.Log.Log(x.r.Context(), level, message, "request_id", x.requestID, "code", known.Code, "err", err, "more", more)
	}
}

// tally counts successful answers apart from the ledger, which is held against
// it.
func (x *exchange) tally(status int) {
	if status/100 == 2 {
		x.g.Ledger.Tally(1)
	}
}

// outcome is what the ledger writes of the request's end.
func (x *exchange) outcome(status int, took time.Duration) app.Outcome {
	out := app.Outcome{Status: status}
	if x.credential != nil && x.credential.mode == onBehalf {
		return out // no traffic of the organization's own
	}
	if x.route.meters.bytes {
		out.BytesIn, out.BytesOut = x.result.BytesIn, x.result.BytesOut
	}
	if x.route.meters.duration {
		out.Duration = app.Begun(took)
	}
	return out
}

// observe counts the request for the overview.
func (g *Gateway) observe(x *exchange, status int, code string, took time.Duration) {
	verdict := traffic.Allowed
	switch {
	case !x.forwarded:
		verdict = traffic.Refused
		g.Traffic.Refuse(code)
	case status >= 500 || status == 0:
		verdict = traffic.Failed
	}
	var meter *traffic.Meter
	if x.credential != nil {
		meter = x.credential.tenant.meter
	}
	g.Traffic.Observe(meter, verdict, took, x.own)
}

func (g *Gateway) access(x *exchange, status int, code string, took time.Duration) {
	entry := respond.Entry{At: x.start, Surface: "gateway", RequestID: x.requestID, Method: x.r.Method, Host: x.r.Host,
		Path: x.r.URL.Path, Status: status, BytesIn: x.result.BytesIn, BytesOut: x.result.BytesOut,
		Duration: took, Address: x.from.String(), Code: code}
	if x.route != nil {
		entry.Route = x.route.Name
	}
	if x.credential != nil {
		entry.Actor = x.credential.actor
	}
	g.AccessLog.Record(entry)
}
