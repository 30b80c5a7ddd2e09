package respond_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/web/respond"
)

type house struct {
	*respond.Responder
	log, access bytes.Buffer
}

func open(t *testing.T) *house {
	h := &house{}
	h.Responder = &respond.Responder{Surface: "api", Now: time.Now,
		Log: respond.NewLogger(&h.log, true, slog.LevelInfo), Access: respond.NewAccessLog(&h.access, true)}
	t.Cleanup(h.Access.Close)
	return h
}

// ask serves one request and returns the answer and the access log.
func (h *house) ask(handler respond.Handler, r *http.Request) (*httptest.ResponseRecorder, map[string]any) {
	w := httptest.NewRecorder()
	func() {
		defer func() { recover() }() // http.ErrAbortHandler, as net/http does
		h.Wrap(h.Handle(handler)).ServeHTTP(w, r)
	}()
	h.Access.Close()
	line := map[string]any{}
	json.Unmarshal(h.access.Bytes(), &line)
	return w, line
}

func TestWrapLogsTheRequest(t *testing.T) {
	h := open(t)
	r := httptest.NewRequest("POST", "/v1/orgs?token=gk_live_0123456789012345678901234567890123", strings.NewReader("{}"))
	w, line := h.ask(func(w http.ResponseWriter, r *http.Request) error {
		respond.Note(w, app.Actor{Kind: app.ActorKey, ID: "key_1", OrgID: "org_1"})
		return respond.JSON(w, 201, map[string]string{"a": "b"})
	}, r)
	if w.Code != 201 || w.Body.String() != "{\"a\":\"b\"}\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for name, want := range map[string]any{"status": 201.0, "bytes_out": 10.0, "bytes_in": 2.0, "method": "POST",
		"path": "/v1/orgs", "org": "org_1", "actor": "key:key_1", "surface": "api", "request_id": respond.RequestID(w)} {
		if line[name] != want {
			t.Errorf("%s: %v, want %v", name, line[name], want)
		}
	}
	if strings.Contains(h.access.String(), "gk_live_") {
		t.Error("the query string was logged")
	}
}

func TestPanicBecomesAProblem(t *testing.T) {
	h := open(t)
	w, line := h.ask(func(http.ResponseWriter, *http.Request) error { panic("boom") }, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(h.log.String(), "boom") || !strings.Contains(h.log.String(), "responder_test.go") {
		t.Errorf("log without cause and stack: %s", h.log.String())
	}
	if line["code"] != "internal" || line["status"] != 500.0 {
		t.Errorf("access log: %v", line)
	}
}

func TestFailureAfterTheHeaderCutsTheConnection(t *testing.T) {
	for name, handler := range map[string]respond.Handler{
		"error": func(w http.ResponseWriter, _ *http.Request) error {
			w.Write([]byte("half"))
			return errors.New("disk gone")
		},
		"panic": func(w http.ResponseWriter, _ *http.Request) error {
			w.Write([]byte("half"))
			panic("disk gone")
		},
	} {
		h := open(t)
		server := httptest.NewServer(h.Wrap(h.Handle(handler)))
		response, err := server.Client().Get(server.URL)
		if err == nil {
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: the answer looks whole", name)
		}
		server.Close()
		if !strings.Contains(h.log.String(), "disk gone") {
			t.Errorf("%s: not logged: %s", name, h.log.String())
		}
	}
}

func TestRefusalsAreNotLogged(t *testing.T) {
	h := open(t)
	h.ask(func(http.ResponseWriter, *http.Request) error { return app.NotFound("key") }, httptest.NewRequest("GET", "/", nil))
	if h.log.Len() > 0 {
		t.Errorf("logged: %s", h.log.String())
	}
}

func TestClientThatLeft(t *testing.T) {
	h := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, line := h.ask(func(_ http.ResponseWriter, r *http.Request) error { return r.Context().Err() },
		httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	if line["status"] != 499.0 || h.log.Len() > 0 {
		t.Errorf("status %v, log %s", line["status"], h.log.String())
	}
}

func TestPageForBrowsers(t *testing.T) {
	for _, row := range []struct {
		accept string
		page   bool
	}{
		{"text/html,application/xhtml+xml,*/*;q=0.8", true},
		{"application/json", false},
		{"application/json, text/html", false},
		{"*/*", false},
		{"", false},
	} {
		h := open(t)
		h.Page = func(w http.ResponseWriter, _ *http.Request, status int, e *app.Error) {
			w.WriteHeader(status)
			io.WriteString(w, "<p>"+e.Message)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", row.accept)
		w, _ := h.ask(func(http.ResponseWriter, *http.Request) error { return app.NotFound("page") }, r)
		if page := strings.HasPrefix(w.Body.String(), "<p>"); page != row.page || w.Code != 404 {
			t.Errorf("%q: page %v, status %d", row.accept, page, w.Code)
		}
	}
}

func TestReadJSON(t *testing.T) {
	for _, row := range []struct{ name, kind, body, field, code string }{
		{"good", "application/json; charset=utf-8", `{"name":"a","n":1}`, "", ""},
		{"cloud event", "application/cloudevents+json", `{}`, "", ""},
		{"no type", "", `{}`, "", ""},
		{"a form", "application/x-www-form-urlencoded", `name=a`, "", "unsupported_media_type"},
		{"empty", "", ``, "body", "invalid_input"},
		{"cut", "", `{"name":`, "body", "invalid_input"},
		{"not JSON", "", `name`, "body", "invalid_input"},
		{"wrong type", "", `{"n":"x"}`, "n", "invalid_input"},
		{"unknown field", "", `{"nmae":"x"}`, "nmae", "invalid_input"},
		{"two documents", "", `{} {}`, "body", "invalid_input"},
		{"too large", "", `{"name":"` + strings.Repeat("a", respond.MaxBody) + `"}`, "", "body_too_large"},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(row.body))
		if row.kind != "" {
			r.Header.Set("Content-Type", row.kind)
		}
		var into struct {
			Name string `json:"name"`
			N    int    `json:"n"`
		}
		e := app.AsError(respond.ReadJSON(httptest.NewRecorder(), r, &into))
		switch {
		case e == nil && row.code != "":
			t.Errorf("%s: accepted", row.name)
		case e != nil && e.Code != row.code:
			t.Errorf("%s: %v, want %s", row.name, e, row.code)
		case e != nil && row.field != "" && (len(e.Fields) != 1 || e.Fields[0].Field != row.field):
			t.Errorf("%s: fields %v, want %s", row.name, e.Fields, row.field)
		}
	}
}

func TestLogsMaskSecrets(t *testing.T) {
	var out bytes.Buffer
	secret := "gk_live_7Qb2abcdefghijklmnopqrstuvwxyzABCD"
	log := respond.NewLogger(&out, false, slog.LevelInfo)
	log.Info("call", "header", "Bearer "+secret, "error", errors.New("bad key "+secret),
		"jwt", "eyJhbGciOiJFZERTQSJ9.eyJvcmciOiJvcmdfMSJ9.c2lnbmF0dXJl")
	if text := out.String(); strings.Contains(text, "7Qb2") || strings.Contains(text, "eyJ") {
		t.Errorf("leaked: %s", text)
	}
	for path, want := range map[string]string{
		"/v1/orgs/org_01jdkq5x8zv7n3m2p4r6s8t0w1/keys":       "/v1/orgs/org_01jdkq5x8zv7n3m2p4r6s8t0w1/keys",
		"/claim/Zk3x9QmB7yTq2LwV5nRc8UdJ1hGf4sAeXoPi6bYt0Cv": "/claim/[secret]",
		"/static/app.3f9c1e7d2b8a4056.css":                   "/static/app.3f9c1e7d2b8a4056.css",
	} {
		if got := respond.SafePath(path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestAccessLogNeverBlocks(t *testing.T) {
	gate := make(chan struct{})
	a := respond.NewAccessLog(blocked{gate}, true)
	for range 20_000 {
		a.Record(respond.Entry{Path: "/"})
	}
	if a.Lost() == 0 {
		t.Error("20,000 entries fit behind a blocked disk")
	}
	close(gate)
	a.Close()
	a.Record(respond.Entry{}) // after the end: ignored
	var none *respond.AccessLog
	none.Record(respond.Entry{})
	none.Close()
}

type blocked struct{ gate chan struct{} }

func (b blocked) Write(p []byte) (int, error) { <-b.gate; return len(p), nil }
