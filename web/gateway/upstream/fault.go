package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"gatehouse/app"
)

// Faults of the road to the upstream that code decides by.
var (
	errGone      = errors.New("the client left")
	errHeadLimit = errors.New("the head of the answer is too long")
	errNoAnswer  = errors.New("the connection was closed without an answer")
	errSlow      = errors.New("no answer in time")
	errIdle      = errors.New("no byte for too long")

	errPoolClosed = errors.New("the upstream was removed")
	errAllDown    = errors.New("health checks find every address down")
	errLineBreak  = errors.New("a header holds a line break")
)

// malformed is an answer that breaks HTTP.
type malformed string

// Error implements error.
func (m malformed) Error() string { return "malformed answer: " + string(m) }

func faultUnavailable(err error) *app.Error {
	return &app.Error{Kind: app.KindUnavailable, Code: "upstream_unavailable", RetryAfter: time.Second,
		Message: "The app behind this gateway cannot be reached.", Advice: "Try again shortly.", Err: err}
}

func faultBusy() *app.Error {
	return &app.Error{Kind: app.KindUnavailable, Code: "upstream_busy", RetryAfter: time.Second,
		Message: "The app behind this gateway has no free connection.", Advice: "Try again shortly.",
		Err: errors.New("every address is at its connection limit")}
}

func faultTimeout(err error) *app.Error {
	return &app.Error{Kind: app.KindTimeout, Code: "upstream_timeout",
		Message: "The app behind this gateway did not answer in time.",
		Advice:  "The request may have had an effect: check before you repeat it.", Err: err}
}

func faultBroken(err error) *app.Error {
	return &app.Error{Kind: app.KindBadGateway, Code: "upstream_broken",
		Message: "The app behind this gateway broke off without a proper answer.",
		Advice:  "The request may have had an effect: check before you repeat it.", Err: err}
}

func faultTooLarge(limit int64) *app.Error {
	return &app.Error{Kind: app.KindTooLarge, Code: "body_too_large",
		Message: "The body of the request is larger than this route allows.",
		Advice:  "Send it in smaller parts, or ask for a higher limit.", Err: limitError(limit)}
}

// faultSlowBody carries the code that is answered with 408.
func faultSlowBody(err error) *app.Error {
	return &app.Error{Kind: app.KindTimeout, Code: "body_timeout",
		Message: "The body of the request did not arrive in time.", Advice: "Send it again, without pauses.", Err: err}
}

func faultInvalid(message string) *app.Error {
	return &app.Error{Kind: app.KindInvalid, Code: "bad_request", Message: message}
}

func faultGone(err error) *app.Error {
	return &app.Error{Kind: app.KindCancelled, Code: "client_gone",
		Message: "The client left before there was an answer.", Err: err}
}

// limitError carries the limit in bytes that a body passed.
type limitError int64

// Error implements error.
func (l limitError) Error() string { return "the body passes the limit" }

// fault says what a failure on the road means to the caller.
func (e *exchange) fault(err error) *app.Error {
	var known *app.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, errSlow), errors.Is(err, errIdle): // before the context, which our own cut may have ended
		return faultTimeout(err)
	case errors.Is(err, errGone), e.r.Context().Err() != nil:
		return faultGone(err)
	case isTimeout(err):
		return faultTimeout(err)
	default:
		return faultBroken(err)
	}
}

func isTimeout(err error) bool {
	if errors.Is(err, errSlow) || errors.Is(err, errIdle) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
