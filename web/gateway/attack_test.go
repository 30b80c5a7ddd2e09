package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"gatehouse/app"
)

// Many organizations at once: each answer is of the one who asked. Exchanges
// and admissions are reused, so a mistake would mix them.
func TestNobodyAnswersAsAnother(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all", Headers: app.Edits{Set: map[string]string{"X-Org": "${org.slug}/${request.id}"}}},
		app.Route{Name: "open", PathPrefix: "/open", Auth: []app.AuthMode{app.AuthNone}},
		app.Route{Name: "closed", PathPrefix: "/closed", Closed: []string{"/closed"}})
	var all sync.WaitGroup
	for i := range 8 {
		org := s.org(fmt.Sprint("Org ", i))
		key := bearer(s.key(org.ID).Secret)
		all.Go(func() {
			for n := range 40 {
				id := fmt.Sprintf("req-%d-%d", i, n)
				got, err := s.try(t.Context(), "GET", []string{"/", "/open", "/closed", "/status/500"}[n%4], nil, key, "X-Request-Id: "+id)
				if err != nil || got.header.Get("X-Request-Id") != id {
					t.Errorf("%s: %v %v", id, err, got.header)
					continue
				}
				if n%4 != 0 {
					continue
				}
				header := got.seen(t).Header
				if header.Get("X-Gatehouse-Org") != string(org.ID) || header.Get("X-Org") != org.Slug+"/"+id {
					t.Errorf("%s answers as %s, %s", org.Slug, header.Get("X-Gatehouse-Org-Slug"), header.Get("X-Org"))
				}
				if claims, err := s.tokens.Verify(header.Get("X-Gatehouse-Assertion")); err != nil || claims.Org != org.ID {
					t.Errorf("%s: assertion %+v, %v", org.Slug, claims, err)
				}
			}
		})
	}
	all.Wait()
}

// What only a raw connection can send.
func TestRawRequests(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all"}, app.Route{Name: "open", PathPrefix: "/open", Auth: []app.AuthMode{app.AuthNone}},
		app.Route{Name: "write", PathPrefix: "/write", Methods: []string{"POST"}, Scopes: []string{"write"}},
		app.Route{Name: "read", PathPrefix: "/write", Methods: []string{"GET"}})
	key := "Authorization: Bearer " + s.key(s.org("Acme").ID).Secret + "\r\n"
	const socket = "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	rows := []struct {
		name, request string
		status        int
		holds         string
	}{
		{"plain", "GET / HTTP/1.1\r\nHost: x\r\n" + key + "\r\n", 200, `"Path":"/"`},
		{"absolute form: the host is that of the target", "GET http://y/p HTTP/1.1\r\nHost: x\r\n" + key + "\r\n", 200, `"Host":"y"`},
		{"CONNECT", "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n" + key + "\r\n", 405, "method_not_allowed"},
		{"TRACE", "TRACE / HTTP/1.1\r\nHost: x\r\n" + key + "\r\n", 405, "method_not_allowed"},
		{"an OPTIONS preflight has no credential", "OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: https://y\r\nAccess-Control-Request-Method: GET\r\n\r\n", 401, "credential_missing"},
		{"a preflight on an open route", "OPTIONS /open HTTP/1.1\r\nHost: x\r\nOrigin: https://y\r\n\r\n", 200, `"Method":"OPTIONS"`},
		{"HEAD is read as GET", "HEAD /write HTTP/1.1\r\nHost: x\r\n" + key + "\r\n", 200, ""},
		{"a method override does not change the route", "GET /write HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: POST\r\n" + key + "\r\n", 200, `"Method":"GET"`},
		{"a method in lower case is another", "post /write HTTP/1.1\r\nHost: x\r\n" + key + "\r\n", 200, `"Method":"post"`},
		{"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + key + "\r\na", 400, ""},
		{"an upgrade to HTTP/2 inside", "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n" + key + "\r\n", 200, `"Path":"/"`},
		{"a WebSocket without a key", "GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n" + socket + "\r\n", 401, "credential_missing"},
		{"a WebSocket", "GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n" + socket + key + "\r\n", 101, ""},
		{"a trailer that forges identity", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Gatehouse-Org\r\n" + key + "\r\n1\r\na\r\n0\r\nX-Gatehouse-Org: forged\r\n\r\n", 200, `"Body":"a"`},
		{"an undeclared trailer that forges identity", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n" + key + "\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nX-Gatehouse-Org: forged\r\n\r\n", 200, `"X-Sum":["1"]`},
	}
	for _, row := range rows {
		status, body := s.raw(row.request)
		if status != row.status || !strings.Contains(body, row.holds) || strings.Contains(body, "forged") {
			t.Errorf("%s: %d %s, want %d and %s", row.name, status, body, row.status, row.holds)
		}
	}
}

// raw sends bytes as they are and reads one answer.
func (s *stage) raw(request string) (status int, body string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	s.apply(conn, err)
	defer conn.Close()
	s.apply(io.WriteString(conn, request))
	method, _, _ := strings.Cut(request, " ")
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	s.apply(answer, err)
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return answer.StatusCode, ""
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	s.apply(raw, err)
	return answer.StatusCode, string(raw)
}
