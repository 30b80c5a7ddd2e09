// Package respond is the one place that turns what a handler returns into an
// answer: errors become problem+json (RFC 9457) or an error page, panics
// become errors, and each request gets its id and its access log line.
//
// The request id stands in the answer's X-Request-Id header from the first
// moment, so whoever holds the writer knows it and no context is needed.
package respond
