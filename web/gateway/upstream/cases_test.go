package upstream

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// reply answers every request with the text and leaves the connection open.
func reply(text string) script {
	return func(_ int, c net.Conn, _ *http.Request) { io.WriteString(c, text) }
}

// lastWords answers with the text and closes.
func lastWords(text string) script {
	return func(_ int, c net.Conn, _ *http.Request) {
		io.WriteString(c, text)
		c.Close()
	}
}

// reset answers with the text and tears the connection down.
func reset(text string) script {
	return func(_ int, c net.Conn, _ *http.Request) {
		io.WriteString(c, text)
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

const get = "GET /a/b?c=d HTTP/1.1\r\nHost: shop.example\r\n\r\n"

type proxyCase struct {
	name     string
	upstream script
	request  string // default: get
	options  Options
	timeout  time.Duration

	status  int
	code    string // of the fault that the gate answers with; the body
	body    string
	header  map[string]string // "" means absent
	trailer map[string]string
	interim []string
	aborted bool
	calls   int // requests that the upstream saw; 0 is not looked at
	sent    func(t *testing.T, request *http.Request)
}

var proxyCases = []proxyCase{
	{name: "plain answer", upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-App: 1\r\n\r\nhello"),
		status: 200, body: "hello", header: map[string]string{"X-App": "1", "Content-Length": "5", "Content-Type": ""}},
	{name: "no reason phrase", upstream: reply("HTTP/1.1 204\r\n\r\n"), status: 204},
	{name: "unknown status", upstream: reply("HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n"), status: 799},
	{name: "empty answer", upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), status: 200},
	{name: "lower-case names", upstream: reply("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-app:1\r\n\r\nok"),
		status: 200, body: "ok", header: map[string]string{"X-App": "1"}},
	{name: "several values", upstream: reply("HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"),
		status: 200, header: map[string]string{"Set-Cookie": "a=1|b=2"}},
	{name: "folded header", upstream: reply("HTTP/1.1 200 OK\r\nX-App: one\r\n  two\r\nContent-Length: 0\r\n\r\n"),
		status: 200, header: map[string]string{"X-App": "one two"}},
	{name: "bare line feeds from the upstream", upstream: reply("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
		status: 200, body: "ok"},
	{name: "chunked", upstream: reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n"),
		status: 200, body: "abcde"},
	{name: "chunked in single bytes", upstream: drip("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-End: 1\r\n\r\n"),
		status: 200, body: "abcde", trailer: map[string]string{"X-End": "1"}},
	{name: "declared trailer", upstream: reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"),
		status: 200, body: "abc", header: map[string]string{"Trailer": ""}, trailer: map[string]string{"X-Sum": "7"}},
	{name: "undeclared trailer", upstream: reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"),
		status: 200, body: "abc", trailer: map[string]string{"X-Sum": "7"}},
	{name: "forbidden trailer", upstream: reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 7\r\nX-Sum: 7\r\n\r\n"),
		status: 200, body: "abc", trailer: map[string]string{"X-Sum": "7", "Content-Length": ""}},
	{name: "until the connection closes", upstream: lastWords("HTTP/1.1 200 OK\r\n\r\nall of it"), status: 200, body: "all of it"},
	{name: "HTTP/1.0", upstream: lastWords("HTTP/1.0 200 OK\r\n\r\nold"), status: 200, body: "old"},
	{name: "HTTP/1.0 with a length", upstream: lastWords("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold"), status: 200, body: "old"},
	{name: "connection close", upstream: lastWords("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
		status: 200, body: "ok", header: map[string]string{"Connection": ""}},
	{name: "HEAD", request: "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
		status: 200, header: map[string]string{"Content-Length": "500"}},
	{name: "HEAD of a chunked resource", request: "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", upstream: reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), status: 200},
	{name: "204", upstream: reply("HTTP/1.1 204 No Content\r\nX-App: 1\r\n\r\n"), status: 204, header: map[string]string{"X-App": "1"}},
	{name: "304", upstream: reply("HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\nContent-Length: 100\r\n\r\n"), status: 304, header: map[string]string{"Etag": "\"x\""}},
	{name: "gzip untouched", request: "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n",
		upstream: reply("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x00\x01"),
		status:   200, body: "\x1f\x8b\x00\x01", header: map[string]string{"Content-Encoding": "gzip"},
		sent: func(t *testing.T, r *http.Request) { wantHeader(t, r.Header, "Accept-Encoding", "br") }},
	{name: "no compression of our own", upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), status: 200,
		sent: func(t *testing.T, r *http.Request) {
			wantHeader(t, r.Header, "Accept-Encoding", "")
			wantHeader(t, r.Header, "User-Agent", "")
		}},
	{name: "hop-by-hop of the answer", upstream: reply("HTTP/1.1 200 OK\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n"),
		status: 200, header: map[string]string{"X-Private": "", "Keep-Alive": "", "Proxy-Authenticate": "", "Upgrade": ""}},
	{name: "early hints", upstream: reply("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
		status: 200, body: "ok", interim: []string{"103 </a.css>", "103 </b.css>"}, header: map[string]string{"Link": ""}},
	{name: "early hints for an old client", request: "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
		upstream: reply("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), status: 200, body: "ok"},
	{name: "100 that nobody asked for", upstream: reply("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), status: 200, body: "ok"},
	{name: "endless interim answers", upstream: endless("HTTP/1.1 102 Processing\r\nX-Filler: " + strings.Repeat("x", 500) + "\r\n\r\n"), options: Options{AnswerHeadBytes: 64 << 10},
		status: 502, code: "upstream_broken", interim: []string{"*"}},
	{name: "101 that nobody asked for", upstream: reply("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), status: 502, code: "upstream_broken"},

	{name: "truncated body", upstream: lastWords("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), status: 200, body: "half", aborted: true},
	{name: "truncated body by reset", upstream: func(_ int, c net.Conn, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 50000))
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}, status: 200, aborted: true, body: "*"},
	{name: "truncated chunk", upstream: lastWords("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal"), status: 200, body: "hal", aborted: true},
	{name: "missing last chunk", upstream: lastWords("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"), status: 200, body: "half", aborted: true},
	{name: "missing end of trailer", upstream: lastWords("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX-A: 1\r\n"), status: 200, body: "half", aborted: true},
	{name: "chunk size that is none", upstream: lastWords("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n"), status: 200, body: "half", aborted: true},
	{name: "chunk size too large", upstream: lastWords("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhalf\r\n"), status: 200, aborted: true},
	{name: "chunk without its end", upstream: lastWords("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfX\r\n0\r\n\r\n"), status: 200, body: "half", aborted: true},
	{name: "chunk line with a bare line feed", upstream: lastWords("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\nhalf\r\n0\r\n\r\n"), status: 200, aborted: true},

	{name: "length that is none", upstream: lastWords("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello"), status: 502, code: "upstream_broken"},
	{name: "negative length", upstream: lastWords("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"), status: 502, code: "upstream_broken"},
	{name: "signed length", upstream: lastWords("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello"), status: 502, code: "upstream_broken"},
	{name: "list of lengths", upstream: lastWords("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"), status: 502, code: "upstream_broken"},
	{name: "length beyond all numbers", upstream: lastWords("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello"), status: 502, code: "upstream_broken"},
	{name: "different lengths", upstream: lastWords("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), status: 502, code: "upstream_broken"},
	{name: "the same length twice", upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), status: 200, body: "hello", header: map[string]string{"Content-Length": "5"}},
	{name: "length and chunked", upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), status: 200, body: "hello", header: map[string]string{"Content-Length": "*"}},
	{name: "unknown coding", upstream: lastWords("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nhello"), status: 502, code: "upstream_broken"},
	{name: "chunked twice", upstream: lastWords("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), status: 502, code: "upstream_broken"},
	{name: "more than the length", upstream: func(call int, c net.Conn, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
	}, status: 200, body: "ok"},

	{name: "no HTTP", upstream: lastWords("SSH-2.0-OpenSSH\r\n\r\n"), status: 502, code: "upstream_broken"},
	{name: "status of two digits", upstream: lastWords("HTTP/1.1 20 OK\r\n\r\n"), status: 502, code: "upstream_broken"},
	{name: "status below 100", upstream: lastWords("HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"), status: 502, code: "upstream_broken"},
	{name: "status with a sign", upstream: lastWords("HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n"), status: 502, code: "upstream_broken"},
	{name: "header without a colon", upstream: lastWords("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"), status: 502, code: "upstream_broken"},
	{name: "header without a name", upstream: lastWords("HTTP/1.1 200 OK\r\n: x\r\n\r\n"), status: 502, code: "upstream_broken"},
	{name: "space before the colon", upstream: lastWords("HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), status: 502, code: "upstream_broken"},
	{name: "zero byte in a value", upstream: lastWords("HTTP/1.1 200 OK\r\nX-App: a\x00b\r\n\r\n"), status: 502, code: "upstream_broken"},
	{name: "bare CR in a value", upstream: lastWords("HTTP/1.1 200 OK\r\nX-App: a\rb\r\n\r\n"), status: 502, code: "upstream_broken"},
	{name: "first line folded", upstream: lastWords("HTTP/1.1 200 OK\r\n X-App: a\r\n\r\n"), status: 502, code: "upstream_broken"},
	{name: "huge header", upstream: reply("HTTP/1.1 200 OK\r\nX-Big: " + strings.Repeat("x", 100<<10) + "\r\nContent-Length: 0\r\n\r\n"), options: Options{AnswerHeadBytes: 32 << 10},
		status: 502, code: "upstream_broken"},
	{name: "large header within the limit", upstream: reply("HTTP/1.1 200 OK\r\nX-Big: " + strings.Repeat("x", 20<<10) + "\r\nContent-Length: 2\r\n\r\nok"), options: Options{AnswerHeadBytes: 32 << 10},
		status: 200, body: "ok"},
	{name: "endless header", upstream: endless("HTTP/1.1 200 OK\r\n", "X-More: 1\r\n"), options: Options{AnswerHeadBytes: 32 << 10},
		status: 502, code: "upstream_broken"},
	{name: "slow header", upstream: slowly("HTTP/1.1 200 OK\r\n", "X-More: 1\r\n"), timeout: 150 * time.Millisecond,
		status: 504, code: "upstream_timeout"},
	{name: "no answer in time", upstream: func(int, net.Conn, *http.Request) {}, timeout: 100 * time.Millisecond, status: 504, code: "upstream_timeout", calls: 1},
	{name: "body stops", upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), options: Options{StreamIdle: 100 * time.Millisecond}, status: 200, body: "half", aborted: true},
	{name: "closed without an answer", upstream: lastWords(""), status: 502, code: "upstream_broken", calls: 1},
	{name: "closed within the header", upstream: lastWords("HTTP/1.1 200 OK\r\nX-App"), status: 502, code: "upstream_broken", calls: 1},
	{name: "reset without an answer", upstream: reset(""), status: 502, code: "upstream_broken", calls: 1},
	{name: "early answer to a small body", request: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		upstream: lastWords("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"), status: 413, body: "big"},

	{name: "POST with a body", request: "POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
		upstream: reply("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), status: 201,
		sent: func(t *testing.T, r *http.Request) {
			if bodyOf(r) != "hello" || r.ContentLength != 5 {
				t.Errorf("the upstream got %q of length %d", bodyOf(r), r.ContentLength)
			}
		}},
	{name: "POST without a body", request: "POST /x HTTP/1.1\r\nHost: x\r\n\r\n",
		upstream: reply("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), status: 201,
		sent: func(t *testing.T, r *http.Request) { wantHeader(t, r.Header, "Content-Length", "0") }},
	{name: "chunked body", request: "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		upstream: reply("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), status: 201,
		sent: func(t *testing.T, r *http.Request) {
			if bodyOf(r) != "hello" || !slices.Equal(r.TransferEncoding, []string{"chunked"}) {
				t.Errorf("the upstream got %q, %v", bodyOf(r), r.TransferEncoding)
			}
		}},
	{name: "chunked body with a trailer", request: "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 9\r\n\r\n",
		upstream: reply("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), status: 201,
		sent: func(t *testing.T, r *http.Request) { wantHeader(t, r.Trailer, "X-Sum", "9") }},
	{name: "long body", request: "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000),
		upstream: reply("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), status: 201,
		sent: func(t *testing.T, r *http.Request) {
			if len(bodyOf(r)) != 300000 {
				t.Errorf("the upstream got %d bytes", len(bodyOf(r)))
			}
		}},
	{name: "body in the middle of the buffer sizes", request: "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + strings.Repeat("y", 60000),
		upstream: reply("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), status: 201,
		sent: func(t *testing.T, r *http.Request) {
			if bodyOf(r) != strings.Repeat("y", 60000) {
				t.Errorf("the upstream got %d other bytes", len(bodyOf(r)))
			}
		}},
	{name: "declared body over the limit", request: "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n",
		upstream: reply("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), status: 413, code: "body_too_large"},
	{name: "chunked body over the limit", request: "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 1100000, strings.Repeat("x", 1100000)),
		upstream: reply("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), status: 413, code: "body_too_large"},
	{name: "chunked body that is none", request: "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
		upstream: reply("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), status: 400, code: "bad_request"},
	{name: "long answer", upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("z", 1000000)), status: 200, body: strings.Repeat("z", 1000000)},
	{name: "long chunk", upstream: reply(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", 200000, strings.Repeat("z", 200000))), status: 200, body: strings.Repeat("z", 200000)},

	{name: "path and query as they are", request: "GET /a%2Fb/%7Bx%7D//c/..;/d?q=%20+a&x=[1];b HTTP/1.1\r\nHost: x\r\n\r\n",
		upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), status: 200,
		sent: func(t *testing.T, r *http.Request) {
			if r.RequestURI != "/a%2Fb/%7Bx%7D//c/..;/d?q=%20+a&x=[1];b" {
				t.Errorf("the upstream got %q", r.RequestURI)
			}
		}},
	{name: "path of two slashes", request: "GET //evil.example/x HTTP/1.1\r\nHost: x\r\n\r\n",
		upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), status: 200,
		sent: func(t *testing.T, r *http.Request) {
			if r.RequestURI != "//evil.example/x" || r.Host != "x" {
				t.Errorf("the upstream got %q of host %q", r.RequestURI, r.Host)
			}
		}},
	{name: "OPTIONS *", request: "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), status: 200},
	{name: "old client without a host", request: "GET / HTTP/1.0\r\n\r\n", upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), status: 200,
		sent: func(t *testing.T, r *http.Request) {
			if !strings.HasPrefix(r.Host, "127.0.0.1:") || r.Proto != "HTTP/1.1" {
				t.Errorf("the upstream got host %q over %s", r.Host, r.Proto)
			}
		}},
	{name: "TRACE", request: "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", upstream: reply(""), status: 405, code: "method_not_allowed"},
	{name: "hop-by-hop of the request", request: "GET / HTTP/1.1\r\nHost: x\r\nConnection: X-Private, X-Gatehouse-Org, keep-alive\r\nX-Private: 1\r\nX-Gatehouse-Org: org_1\r\nKeep-Alive: 5\r\nProxy-Authorization: Basic x\r\nTE: trailers, gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-Org_Slug: evil\r\nX-Rewrite-URL: /admin\r\nX-Original-Url: /admin\r\n\r\n",
		upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), status: 200,
		sent: func(t *testing.T, r *http.Request) {
			for _, name := range []string{"X-Private", "Keep-Alive", "Proxy-Authorization", "Upgrade", "Http2-Settings", "X-Org_slug", "X-Rewrite-Url", "X-Original-Url", "Connection"} {
				wantHeader(t, r.Header, name, "")
			}
			wantHeader(t, r.Header, "Te", "trailers")
			wantHeader(t, r.Header, "X-Gatehouse-Org", "org_1") // a client cannot have it removed
		}},
	{name: "h2c upgrade is no way around", request: "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), status: 200,
		sent: func(t *testing.T, r *http.Request) { wantHeader(t, r.Header, "Upgrade", "") }},
	{name: "forged forwarding", request: "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n",
		upstream: reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), status: 200,
		sent: func(t *testing.T, r *http.Request) {
			wantHeader(t, r.Header, "X-Forwarded-For", "127.0.0.1")
			wantHeader(t, r.Header, "X-Forwarded-Proto", "http")
			wantHeader(t, r.Header, "X-Forwarded-Host", "shop.example")
			wantHeader(t, r.Header, "X-Forwarded-Port", "")
			wantHeader(t, r.Header, "X-Real-Ip", "")
			wantHeader(t, r.Header, "Forwarded", "")
			if r.Host != "shop.example" {
				t.Errorf("the upstream got host %q", r.Host)
			}
		}},
}

// drip writes the text byte by byte.
func drip(text string) script {
	return func(_ int, c net.Conn, _ *http.Request) {
		for i := range len(text) {
			io.WriteString(c, text[i:i+1])
		}
	}
}

// endless writes the first text, and the last one until nobody reads.
func endless(texts ...string) script {
	return func(_ int, c net.Conn, _ *http.Request) {
		io.WriteString(c, texts[0])
		for range 1 << 20 {
			if _, err := io.WriteString(c, texts[len(texts)-1]); err != nil {
				return
			}
		}
	}
}

// slowly is endless with a breath between.
func slowly(texts ...string) script {
	return func(_ int, c net.Conn, _ *http.Request) {
		io.WriteString(c, texts[0])
		for range 1 << 10 {
			time.Sleep(10 * time.Millisecond)
			if _, err := io.WriteString(c, texts[len(texts)-1]); err != nil {
				return
			}
		}
	}
}

func wantHeader(t *testing.T, h http.Header, name, want string) {
	t.Helper()
	if have := strings.Join(h[name], "|"); have != want && want != "*" {
		t.Errorf("%s is %q, want %q", name, have, want)
	}
}

func TestProxyCases(t *testing.T) {
	for _, road := range roads {
		for _, c := range proxyCases {
			t.Run(road.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				runCase(t, c, road.stockOnly)
			})
		}
	}
}

func runCase(t *testing.T, c proxyCase, stockOnly bool, edits ...func(*Outgoing)) {
	up := startRaw(t, c.upstream)
	gate := startGate(t, gateOptions{up: app.Upstream{Addresses: []string{up.url}}, options: c.options, stock: stockOnly,
		out: func(r *http.Request, out *Outgoing) {
			out.BodyLimit = 1 << 20
			if c.timeout > 0 {
				out.Timeout = c.timeout
			}
			if r.RequestURI == "*" {
				out.Path = "*"
			} else if path, _, _ := strings.Cut(r.RequestURI, "?"); path != "" {
				out.Path = path // as the gateway does: what the client wrote
			}
			for _, edit := range edits {
				edit(out)
			}
		}})
	if c.request == "" {
		c.request = get
	}
	g := exchangeRaw(t, gate.address(), c.request)
	c.check(t, g)
	requests := up.requests()
	if c.calls > 0 && len(requests) != c.calls {
		t.Errorf("the upstream saw %d requests, want %d", len(requests), c.calls)
	}
	if c.sent != nil {
		if len(requests) == 0 {
			t.Fatal("the upstream saw no request")
		}
		c.sent(t, requests[0])
	}
}

func (c proxyCase) check(t *testing.T, g got) {
	t.Helper()
	if g.status != c.status {
		t.Fatalf("status %d (%v), want %d; body %q", g.status, g.err, c.status, short(g.body))
	}
	if c.code != "" {
		c.body = c.code
	}
	if g.body != c.body && c.body != "*" {
		t.Errorf("body %q, want %q", short(g.body), short(c.body))
	}
	if g.aborted != c.aborted {
		t.Errorf("aborted is %v (%v), want %v", g.aborted, g.err, c.aborted)
	}
	if !slices.Equal(g.interim, c.interim) && !slices.Equal(c.interim, []string{"*"}) {
		t.Errorf("interim answers %q, want %q", g.interim, c.interim)
	}
	for name, want := range c.header {
		wantHeader(t, g.header, name, want)
	}
	for name, want := range c.trailer {
		wantHeader(t, g.trailer, name, want)
	}
}

func short(text string) string {
	if len(text) > 80 {
		return fmt.Sprintf("%s… (%d bytes)", text[:80], len(text))
	}
	return text
}
