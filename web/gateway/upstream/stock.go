package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"time"

	"gatehouse/app"
)

// newTransport tunes http.Transport for the stock path of one upstream.
func newTransport(up app.Upstream, options Options) *http.Transport {
	dialer := newDialer(up)
	var protocols http.Protocols
	switch up.Protocol {
	case app.ProtocolH2C:
		protocols.SetUnencryptedHTTP2(true)
	case app.ProtocolH2:
		protocols.SetHTTP2(true)
	case app.ProtocolHTTP:
		protocols.SetHTTP1(true)
	default:
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: up.InsecureSkipVerify, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialer.Timeout,
		Protocols:              &protocols,
		DisableCompression:     true, // a coded answer passes as it is
		MaxIdleConnsPerHost:    options.MaxIdle,
		IdleConnTimeout:        options.KeepIdle,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: int64(options.AnswerHeadBytes),
		WriteBufferSize:        largeBuffer,
		ReadBufferSize:         largeBuffer,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 30 * time.Second, // an upstream that vanished is noticed
			PingTimeout:     15 * time.Second,
		},
	}
}

// stock sends the request through http.Transport: HTTP/2, streamed bodies,
// Expect, trailers.
func (e *exchange) stock(a *address) (unsent bool, err error) {
	ctx, cancel := context.WithCancelCause(e.work)
	defer cancel(nil)
	body := e.clientBody()
	request, err := e.request(ctx, a, body)
	if err != nil {
		return false, err
	}
	began := time.Now()
	alarm := newAlarm(e.headPatience(), func() { cancel(errSlow) })
	body.progress = alarm
	defer body.finish()
	// RoundTrip, when cancelled, waits until the body's reader returns, and that
	// waits for the client: so it is told, too.
	defer context.AfterFunc(ctx, body.cut)()
	hints := &hints{e: e}
	request = request.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: hints.got}))
	answer, err := e.gen.transport.RoundTrip(request)
	hints.stop()
	alarm.stop()
	if err != nil {
		return e.stockFault(ctx, a, body, err)
	}
	defer answer.Body.Close()
	e.answered(a, time.Since(began))
	if err := e.takeHead(answer); err != nil {
		e.blame(a, err)
		return false, e.fault(err)
	}
	body.closeAfter()
	pieces := e.pieces(answer, cancel)
	defer pieces.end()
	return false, e.deliver(pieces)
}

// headPatience is how long the answer's head may take. A gRPC stream may send
// its first byte late, so it has the idle time of a stream.
func (e *exchange) headPatience() time.Duration {
	if kind := e.r.Header.Get("Content-Type"); strings.HasPrefix(kind, "application/grpc") {
		return max(e.timeout, e.pool.options.StreamIdle)
	}
	return e.timeout
}

// request builds what goes out through the Transport.
func (e *exchange) request(ctx context.Context, a *address, body *clientBody) (*http.Request, error) {
	header := make(http.Header, len(e.r.Header)+4)
	for name, values := range e.r.Header {
		if !e.dropped(name) {
			header[name] = values
		}
	}
	e.setForwarding(header)
	if wantsTrailers(e.r) {
		header["Te"] = []string{"trailers"}
	}
	if expect := e.r.Header["Expect"]; len(expect) > 0 {
		header["Expect"] = expect
	}
	if header["User-Agent"] == nil {
		header["User-Agent"] = []string{""} // or the Transport would name itself
	}
	for _, values := range header {
		for _, value := range values {
			if strings.ContainsAny(value, "\r\n\x00") {
				return nil, faultInvalid("A header of the request holds a line break.")
			}
		}
	}
	request := &http.Request{Method: e.r.Method, URL: e.target(a), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Host: e.host(), ContentLength: e.r.ContentLength, Trailer: e.r.Trailer}
	if body.present {
		request.Body = body
	}
	return request.WithContext(ctx), nil
}

// target is the URL whose request line is the path and query as given.
func (e *exchange) target(a *address) *url.URL {
	u := &url.URL{Scheme: a.scheme, Host: a.origin, RawQuery: e.out.RawQuery}
	if strings.HasPrefix(e.out.Path, "//") { // an opaque one would read as a host
		u.Path = e.out.Path
		if path, err := url.PathUnescape(e.out.Path); err == nil {
			u.Path, u.RawPath = path, e.out.Path
		}
		return u
	}
	u.Opaque = e.out.Path
	return u
}

// stockFault says what a failed RoundTrip means, and whether another address
// may be tried: only where not even a connection came about.
func (e *exchange) stockFault(ctx context.Context, a *address, body *clientBody, err error) (unsent bool, _ error) {
	if errors.Is(context.Cause(ctx), errSlow) {
		err = errSlow
	} else if failed := body.failure(); failed != nil {
		return false, e.fault(failed)
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" && e.r.Context().Err() == nil && !errors.Is(err, errSlow) {
		a.failed(err, e.pool.options.Now())
		return true, faultUnavailable(err)
	}
	e.blame(a, err)
	return false, e.fault(err)
}

// takeHead brings the Transport's answer into the form of the direct path, and
// refuses what that refuses.
func (e *exchange) takeHead(answer *http.Response) error {
	h := &e.head
	*h = head{status: answer.StatusCode, fields: h.fields[:0], length: answer.ContentLength}
	if h.status < 200 { // 101 without having been asked, or no status at all
		return malformed("status code")
	}
	for name, values := range answer.Header {
		if strings.IndexByte(name, ' ') >= 0 {
			return malformed("header name")
		}
		for _, value := range values {
			h.fields = append(h.fields, field{name, value})
		}
	}
	for name := range answer.Trailer {
		h.fields = append(h.fields, field{"Trailer", name})
	}
	return nil
}

// hints passes interim answers on while the Transport waits for the final one.
type hints struct {
	mu    sync.Mutex
	over  bool
	bytes int
	e     *exchange
}

func (h *hints) got(status int, header textproto.MIMEHeader) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over { // RoundTrip is over: the writer belongs to the answer
		return nil
	}
	var fields []field
	for name, values := range header {
		for _, value := range values {
			fields = append(fields, field{name, value})
			h.bytes += len(name) + len(value)
		}
	}
	if h.bytes += len("HTTP/1.1 103\r\n\r\n"); h.bytes > h.e.pool.options.AnswerHeadBytes {
		return errHeadLimit // the Transport itself counts none that it shows
	}
	h.e.interim(status, fields)
	return nil
}

func (h *hints) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
}
