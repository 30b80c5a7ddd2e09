package app

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong in the terms of the caller. One table in
// web/respond turns it into an HTTP status, one in cmd into an exit code.
type Kind uint8

// The kinds of error.
const (
	KindInternal        Kind = iota // a fault of ours; the message is not shown
	KindInvalid                     // the input is malformed or breaks a rule
	KindUnauthenticated             // no credential, or one that does not hold
	KindForbidden                   // known, but not allowed (wrong scope, suspended organization)
	KindNotFound                    // missing, or another organization's: the same answer
	KindConflict                    // exists already, or changed meanwhile
	KindTooLarge                    // a size limit from outside was passed
	KindPayment                     // a quota or budget is exhausted, or the plan lacks it
	KindRateLimited                 // too many, too fast: retry later
	KindUnavailable                 // something we need is away: retry later
	KindTimeout                     // the upstream did not answer in time
	KindBadGateway                  // the upstream answered wrongly, or not at all
	KindMethod                      // the method is not allowed here
	KindCancelled                   // the client left before there was an answer
)

// FieldError names one wrong field of an input.
type FieldError struct {
	Field   string `json:"field"`   // JSON path, such as "rate_limits[0].window"
	Message string `json:"message"` // what is wrong and what is allowed
}

// LimitDetail says which limit refused a request, and when it lets one pass.
type LimitDetail struct {
	Name      string    `json:"name"`               // the limit's name, such as "minute"
	Scope     string    `json:"scope"`              // address, key, organization, route
	Limit     int64     `json:"limit"`              // units allowed per window
	Remaining int64     `json:"remaining"`          // units left now
	WindowSec int64     `json:"window_seconds"`     // length of the window
	ResetsAt  time.Time `json:"resets_at,omitzero"` // when the limit is full again
}

// Error is the only error type that crosses a room's border on purpose.
// Message and Advice are safe to show to who caused it; Err is for the log.
type Error struct {
	Kind       Kind
	Code       string // stable and machine-readable, such as "rate_limited"
	Message    string // what is wrong and why, one sentence
	Advice     string // what to do about it, one sentence; may be empty
	Fields     []FieldError
	Limit      *LimitDetail
	Quota      *QuotaDetail
	RetryAfter time.Duration // zero when retrying does not help
	Err        error         // the cause, never shown
}

// Error implements error with everything that a log line needs.
func (e *Error) Error() string {
	text := e.Code
	if e.Message != "" {
		text += ": " + e.Message
	}
	for _, f := range e.Fields {
		text += "; " + f.Field + ": " + f.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError finds the *Error in err's chain, or wraps err as an internal one.
// It returns nil only for a nil err.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Kind: KindInternal, Code: "internal", Message: "Something went wrong on our side.",
		Advice: "Try again; if it stays, give the request id to the operator.", Err: err}
}

// IsKind reports whether err carries the kind.
func IsKind(err error, kind Kind) bool {
	var known *Error
	return errors.As(err, &known) && known.Kind == kind
}

// Invalid is an input error on one field.
func Invalid(field, format string, args ...any) *Error {
	return InvalidFields([]FieldError{{Field: field, Message: fmt.Sprintf(format, args...)}})
}

// InvalidFields is an input error on several fields.
func InvalidFields(fields []FieldError) *Error {
	message := "The input is not valid."
	if len(fields) > 0 {
		message = fields[0].Field + ": " + fields[0].Message
	}
	return &Error{Kind: KindInvalid, Code: "invalid_input", Message: message,
		Advice: "Correct the named fields and send it again.", Fields: fields}
}

// NotFound is the one answer for a missing object and for another
// organization's: noun is "organization", "key", …
func NotFound(noun string) *Error {
	return &Error{Kind: KindNotFound, Code: "not_found", Message: "There is no such " + noun + ".",
		Advice: "Check the id or slug, and that your credential may see it."}
}

// Conflict is a clash with what exists already.
func Conflict(code, format string, args ...any) *Error {
	return &Error{Kind: KindConflict, Code: code, Message: fmt.Sprintf(format, args...)}
}
