// Package demo is what `gatehouse demo` puts behind and in front of the gate: a
// sample app, customers, and the traffic that these send. It speaks to the
// product over HTTP alone, like any app and any client.
package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// sample is a small app that knows nothing of Gatehouse but the headers that
// tell it who calls.
type sample struct {
	mu        sync.Mutex
	documents map[string][]document // by organization
	wait      func(time.Duration) <-chan time.Time
}

type document struct {
	ID    int    `json:"id"`
	Title string `json:"title"`
	By    string `json:"by"`
}

// keptDocuments bounds what one organization may leave in the sample's memory.
const keptDocuments = 100

// App returns the sample app: a JSON API (/v1/documents, /v1/me), server-sent
// events (/v1/stream), a WebSocket echo (/v1/socket), a slow (/v1/slow) and a
// failing endpoint (/v1/fail), and /healthz.
func App() http.Handler {
	s := &sample{documents: map[string][]document{}, wait: time.After}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /{$}", s.welcome)
	mux.HandleFunc("GET /v1/me", s.me)
	mux.HandleFunc("GET /v1/documents", s.list)
	mux.HandleFunc("POST /v1/documents", s.create)
	mux.HandleFunc("GET /v1/documents/{id}", s.show)
	mux.HandleFunc("GET /v1/stream", s.stream)
	mux.HandleFunc("GET /v1/socket", s.socket)
	mux.HandleFunc("GET /v1/slow", s.slow)
	mux.HandleFunc("GET /v1/fail", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusInternalServerError, map[string]string{"error": "this endpoint always fails"})
	})
	return mux
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

// org is who calls: the gate says it, and nobody else can.
func org(r *http.Request) string { return r.Header.Get("X-Gatehouse-Org") }

func (s *sample) welcome(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"app": "sample behind Gatehouse",
		"try": []string{"/v1/documents", "/v1/me", "/v1/stream", "/v1/slow", "/v1/fail"}})
}

// me shows what the gate told the app about the caller.
func (s *sample) me(w http.ResponseWriter, r *http.Request) {
	told := map[string]string{}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Gatehouse-") {
			told[name] = values[0]
		}
	}
	answer(w, http.StatusOK, told)
}

func (s *sample) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	mine := append([]document{}, s.documents[org(r)]...)
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"documents": mine})
}

func (s *sample) create(w http.ResponseWriter, r *http.Request) {
	var in document
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in); err != nil || in.Title == "" {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"error": "send {\"title\": \"…\"}"})
		return
	}
	s.mu.Lock()
	mine := s.documents[org(r)]
	in.ID, in.By = len(mine)+1, r.Header.Get("X-Gatehouse-Actor")
	if len(mine) < keptDocuments {
		s.documents[org(r)] = append(mine, in)
	}
	s.mu.Unlock()
	answer(w, http.StatusCreated, in)
}

func (s *sample) show(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if mine := s.documents[org(r)]; id >= 1 && id <= len(mine) {
		answer(w, http.StatusOK, mine[id-1])
		return
	}
	answer(w, http.StatusNotFound, map[string]string{"error": "no such document"})
}

// stream sends n events (default 5, at most 100), five a second.
func (s *sample) stream(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 1 || n > 100 {
		n = 5
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(w, "id: %d\ndata: {\"step\": %d, \"of\": %d}\n\n", i, i, n)
		http.NewResponseController(w).Flush()
		if i < n && !s.pause(r, 200*time.Millisecond) {
			return
		}
	}
}

// pause waits; it answers false when the client left meanwhile.
func (s *sample) pause(r *http.Request, d time.Duration) bool {
	select {
	case <-s.wait(d):
		return true
	case <-r.Context().Done():
		return false
	}
}

// socket echoes every message.
func (s *sample) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if err := conn.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

// slow answers after ms milliseconds (default 400, at most 5,000).
func (s *sample) slow(w http.ResponseWriter, r *http.Request) {
	ms, err := strconv.Atoi(r.URL.Query().Get("ms"))
	if err != nil || ms < 0 || ms > 5000 {
		ms = 400
	}
	if s.pause(r, time.Duration(ms)*time.Millisecond) {
		answer(w, http.StatusOK, map[string]int{"waited_ms": ms})
	}
}
