package respond

import (
	"net/http"

	"gatehouse/app"
)

// StatusClientLeft is what access logs say of a request whose client left
// before there was an answer. It is nginx's number; nobody receives it.
const StatusClientLeft = 499

// statuses is the table from an error's kind to its HTTP status.
var statuses = [...]int{
	app.KindInternal:        http.StatusInternalServerError,
	app.KindInvalid:         http.StatusBadRequest,
	app.KindUnauthenticated: http.StatusUnauthorized,
	app.KindForbidden:       http.StatusForbidden,
	app.KindNotFound:        http.StatusNotFound,
	app.KindConflict:        http.StatusConflict,
	app.KindTooLarge:        http.StatusRequestEntityTooLarge,
	app.KindPayment:         http.StatusPaymentRequired,
	app.KindRateLimited:     http.StatusTooManyRequests,
	app.KindUnavailable:     http.StatusServiceUnavailable,
	app.KindTimeout:         http.StatusGatewayTimeout,
	app.KindBadGateway:      http.StatusBadGateway,
	app.KindMethod:          http.StatusMethodNotAllowed,
	app.KindCancelled:       StatusClientLeft,
}

// Codes whose status is finer than their kind's.
const (
	CodeIdempotencyMismatch  = "idempotency_mismatch"
	CodeUnsupportedMediaType = "unsupported_media_type"
	CodeBodyTimeout          = "body_timeout"
)

// Status returns the HTTP status of the error.
func Status(e *app.Error) int {
	switch e.Code {
	case CodeIdempotencyMismatch:
		return http.StatusUnprocessableEntity
	case CodeUnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	case CodeBodyTimeout:
		return http.StatusRequestTimeout
	}
	if int(e.Kind) < len(statuses) {
		return statuses[e.Kind]
	}
	return http.StatusInternalServerError
}
