package respond

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"gatehouse/app"
)

// TypePrefix begins a problem's type. It is a URN and no address, because a
// refusal leaves through the host of the operator's app, where no page of
// ours answers; /docs/errors#CODE on the console's host describes the code.
const TypePrefix = "urn:gatehouse:error:"

// Header values that never change are shared between answers: assigning one
// costs nothing, and net/http only reads them.
var (
	problemType  = []string{"application/problem+json"}
	noStore      = []string{"no-store"}
	noSniff      = []string{"nosniff"}
	bearer       = []string{`Bearer realm="gatehouse"`}
	retrySeconds = prepareSeconds(600)
	buffers      = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}
)

func prepareSeconds(n int) [][]string {
	all := make([][]string, n+1)
	for i := range all {
		all[i] = []string{strconv.Itoa(i)}
	}
	return all
}

// Problem answers with the error as problem+json: members type, title, status,
// detail, code, advice, request_id, limit, quota and errors. It sets Retry-After and,
// on 401, WWW-Authenticate. It neither logs nor counts, and allocates
// nothing in the common case, so that it can refuse a flood. The header must not have been sent.
func Problem(w http.ResponseWriter, r *http.Request, err error) {
	e, plain := err.(*app.Error) // the common case, without a walk of the chain
	if !plain {
		e = app.AsError(err)
	}
	if e == nil {
		e = app.AsError(errNoError)
	}
	id := RequestID(w)
	if id == "" {
		id = AssignRequestID(w, r)
	}
	status := Status(e)
	problemHeader(w.Header(), e, status)
	w.WriteHeader(status)
	if r.Method == http.MethodHead || e.Kind == app.KindCancelled {
		return
	}
	buffer := buffers.Get().(*[]byte)
	body := AppendProblem((*buffer)[:0], e, id)
	w.Write(body) // an error here means that the client is gone
	*buffer = body
	buffers.Put(buffer)
}

func problemHeader(header http.Header, e *app.Error, status int) {
	delete(header, "Content-Length")
	delete(header, "Content-Encoding")
	delete(header, "Etag")
	delete(header, "Last-Modified")
	header["Content-Type"] = problemType
	header["Cache-Control"] = noStore
	header["X-Content-Type-Options"] = noSniff
	if e.RetryAfter > 0 {
		header["Retry-After"] = RetryAfter(e.RetryAfter)
	}
	if status == http.StatusUnauthorized && header["Www-Authenticate"] == nil {
		header["Www-Authenticate"] = bearer
	}
}

// RetryAfter returns the Retry-After value in whole seconds, rounded up. The
// slice may be shared: do not change it.
func RetryAfter(d time.Duration) []string {
	seconds := int((d + time.Second - 1) / time.Second)
	if seconds < len(retrySeconds) {
		return retrySeconds[max(seconds, 0)]
	}
	return []string{strconv.Itoa(seconds)}
}

// AppendProblem appends the problem+json document of the error.
func AppendProblem(b []byte, e *app.Error, requestID string) []byte {
	b = append(b, `{"type":"`+TypePrefix...)
	b = append(b, e.Code...)
	b = append(b, `","title":"`...)
	b = appendTitle(b, e.Code)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(Status(e)), 10)
	b = appendMember(b, "detail", e.Message)
	b = appendMember(b, "code", e.Code)
	if e.Advice != "" {
		b = appendMember(b, "advice", e.Advice)
	}
	b = appendMember(b, "request_id", requestID)
	if e.Limit != nil {
		b = appendLimit(b, e.Limit)
	}
	if e.Quota != nil {
		b = appendQuota(b, e.Quota)
	}
	if len(e.Fields) > 0 {
		b = appendFields(b, e.Fields)
	}
	return append(b, "}\n"...)
}

// appendTitle writes the code as words: rate_limited is "Rate limited".
func appendTitle(b []byte, code string) []byte {
	for i, c := range []byte(code) {
		switch {
		case i == 0 && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		case c == '_':
			c = ' '
		}
		b = append(b, c)
	}
	return b
}

func appendLimit(b []byte, l *app.LimitDetail) []byte {
	b = append(b, `,"limit":{"name":`...)
	b = appendString(b, l.Name)
	b = appendMember(b, "scope", l.Scope)
	b = appendNumber(b, "limit", l.Limit)
	b = appendNumber(b, "remaining", l.Remaining)
	b = appendNumber(b, "window_seconds", l.WindowSec)
	return append(appendReset(b, l.ResetsAt), '}')
}

func appendReset(b []byte, at time.Time) []byte {
	if at.IsZero() {
		return b
	}
	b = append(b, `,"resets_at":"`...)
	b = at.UTC().AppendFormat(b, time.RFC3339)
	return append(b, '"')
}

func appendQuota(b []byte, q *app.QuotaDetail) []byte {
	b = append(b, `,"quota":{"meter":`...)
	b = appendString(b, q.Meter)
	b = appendMember(b, "scope", q.Scope)
	b = appendMember(b, "period", string(q.Period))
	b = appendNumber(b, "limit", q.Limit)
	b = appendNumber(b, "used", q.Used)
	b = appendNumber(b, "reserved", q.Reserved)
	b = appendNumber(b, "wanted", q.Wanted)
	b = appendReset(b, q.ResetsAt)
	if q.UpgradeAt != "" {
		b = appendMember(b, "upgrade_url", q.UpgradeAt)
	}
	return append(b, '}')
}

func appendFields(b []byte, fields []app.FieldError) []byte {
	b = append(b, `,"errors":[`...)
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"field":`...)
		b = appendString(b, f.Field)
		b = appendMember(b, "message", f.Message)
		b = append(b, '}')
	}
	return append(b, ']')
}
