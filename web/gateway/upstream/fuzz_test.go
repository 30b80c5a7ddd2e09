package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
)

// memoryConn is a connection whose other side has said all it says.
type memoryConn struct {
	net.Conn
	in *bytes.Reader
}

func (c memoryConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c memoryConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c memoryConn) SetDeadline(time.Time) error      { return nil }
func (c memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c memoryConn) SetWriteDeadline(time.Time) error { return nil }
func (c memoryConn) Close() error                     { return nil }

// readDirect reads an answer as the direct path does.
func readDirect(data []byte, method string) (h head, body []byte, trailer []field, headErr, bodyErr error) {
	p := NewPool(app.Upstream{Name: "fuzz", Addresses: []string{"http://127.0.0.1:1"}}, Options{})
	r := httptest.NewRequest(method, "/", nil)
	e := p.exchange(httptest.NewRecorder(), r, &Outgoing{})
	e.upgrade = "any"
	c := newConn(memoryConn{in: bytes.NewReader(data)}, nil)
	if _, headErr = e.readHead(c, time.Now().Add(time.Hour), 1<<20); headErr != nil {
		return h, nil, nil, headErr, nil
	}
	e.body.start(e, c)
	for {
		piece, err := e.body.next()
		body = append(body, piece...)
		if err == io.EOF {
			return e.head, body, e.body.trailer(), nil, nil
		}
		if err != nil {
			return e.head, body, nil, nil, err
		}
	}
}

// stricter are answers that net/http takes and the direct path refuses on
// purpose.
func stricter(answer *http.Response, data []byte) bool {
	if answer.ProtoMajor != 1 || answer.StatusCode < 100 || !strings.HasPrefix(string(data), "HTTP/1.") {
		return true
	}
	if strings.ContainsAny(answer.Status[:3], "+-") {
		return true
	}
	for name := range answer.Header {
		if strings.Contains(name, " ") {
			return true
		}
	}
	return false
}

// FuzzAnswer compares the direct path's reading of an answer with net/http's.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-App: 1\r\n\r\nhello", "HTTP/1.1 204\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nold",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n3;x\r\nabc\r\n0\r\nX-A: 1\r\n\r\n",
		"HTTP/1.1 200 OK\nA: b\n c\n\tD\n\nrest", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhel",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 304 x\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1  200 OK\r\nA:\r\nB: \r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000003 \t;\r\nabc\r\n0\r\n\r\n",
	} {
		f.Add([]byte(text), false)
		f.Add([]byte(text), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, isHead bool) {
		method := "GET"
		if isHead {
			method = "HEAD"
		}
		h, body, trailer, headErr, bodyErr := readDirect(data, method)
		answer, err := http.ReadResponse(bufio.NewReaderSize(bytes.NewReader(data), 1<<20), &http.Request{Method: method})
		if err != nil {
			if headErr == nil {
				t.Fatalf("net/http refuses (%v) what we take as %+v", err, h)
			}
			return
		}
		if headErr != nil {
			if !stricter(answer, data) {
				t.Fatalf("we refuse (%v) what net/http takes as %+v", headErr, answer)
			}
			return
		}
		compareHead(t, h, answer)
		if h.status < 200 {
			return
		}
		theirs, theirErr := io.ReadAll(answer.Body)
		if (theirErr == nil) != (bodyErr == nil) {
			t.Fatalf("body errors: net/http %v, we %v", theirErr, bodyErr)
		}
		if theirErr == nil && !bytes.Equal(theirs, body) {
			t.Fatalf("bodies: net/http %q, we %q", theirs, body)
		}
		if theirErr == nil {
			compareTrailer(t, trailer, answer.Trailer)
		}
	})
}

func compareHead(t *testing.T, h head, answer *http.Response) {
	if h.status != answer.StatusCode {
		t.Fatalf("status %d, net/http %d", h.status, answer.StatusCode)
	}
	ours := http.Header{}
	for _, f := range h.fields {
		ours[f.name] = append(ours[f.name], f.value)
	}
	ours.Del("Connection") // net/http removes it in some cases
	ours.Del("Trailer")
	answer.Header.Del("Connection")
	if _, added := ours["Cache-Control"]; !added { // net/http derives it from Pragma
		answer.Header.Del("Cache-Control")
	}
	if answer.StatusCode/100 == 1 || answer.StatusCode == 204 || answer.StatusCode == 304 || answer.Request.Method == "HEAD" {
		ours.Del("Content-Length") // it describes nothing here, and either may have kept it
		answer.Header.Del("Content-Length")
	}
	answer.Header.Del("Trailer")
	if !reflect.DeepEqual(ours, answer.Header) {
		t.Fatalf("header %q, net/http %q", ours, answer.Header)
	}
}

func compareTrailer(t *testing.T, fields []field, theirs http.Header) {
	ours := http.Header{}
	for _, f := range fields {
		ours[f.name] = append(ours[f.name], f.value)
	}
	for name, values := range theirs {
		if values != nil && !reflect.DeepEqual(ours[name], values) {
			t.Fatalf("trailer %q, net/http %q", ours, theirs)
		}
	}
}

// FuzzRequest: whatever net/http takes from a client goes out as exactly one
// request with the same method, path, body and end-to-end fields, or not at all.
func FuzzRequest(f *testing.F) {
	for _, c := range proxyCases {
		if c.request != "" && len(c.request) < 2000 {
			f.Add([]byte(c.request), "", "/a")
		}
	}
	f.Add([]byte(get), "host\r\nX: y", "/a b")
	f.Fuzz(func(t *testing.T, data []byte, host, path string) {
		in, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil || in.ContentLength < 0 {
			return
		}
		body, err := io.ReadAll(in.Body)
		if err != nil || len(body) > 1<<16 {
			return
		}
		in.Body = io.NopCloser(bytes.NewReader(body))
		p := NewPool(app.Upstream{Name: "fuzz", Addresses: []string{"http://127.0.0.1:1"}}, Options{})
		e := p.exchange(httptest.NewRecorder(), in, &Outgoing{Path: path, Host: host})
		if e.inspect() != nil || e.serialize() != nil {
			return
		}
		source := bufio.NewReader(bytes.NewReader(e.buf))
		out, err := http.ReadRequest(source)
		if err != nil {
			if strings.Contains(err.Error(), "invalid URL") || strings.Contains(err.Error(), "invalid URI") {
				return // refused by the upstream as it is, and no more than one request
			}
			t.Fatalf("%v in %q", err, e.buf)
		}
		sent, err := io.ReadAll(out.Body)
		if rest, _ := io.ReadAll(source); len(rest) > 0 || err != nil || !bytes.Equal(sent, body) {
			t.Fatalf("body %q became %q, %v, then %q", body, sent, err, rest)
		}
		if out.Method != in.Method || out.RequestURI != path || len(out.TransferEncoding) > 0 {
			t.Fatalf("%s %s became %s %s", in.Method, path, out.Method, out.RequestURI)
		}
		for name := range out.Header {
			if strings.Contains(name, "_") || (in.Header[name] == nil && !strings.HasPrefix(name, "X-Forwarded-") && name != "Content-Length" && name != "Connection") {
				t.Fatalf("%s came from nowhere in %q", name, e.buf)
			}
		}
	})
}
