package web

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// hurryStream watches the body of an HTTP/2 request: each part must come within
// the idle time. gRPC streams may be silent for long and are left alone.
func hurryStream(w http.ResponseWriter, r *http.Request, limits *Limits) {
	if r.ContentLength == 0 || r.Body == http.NoBody || strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		return
	}
	r.Body = &hurried{r.Body, http.NewResponseController(w), limits.BodyIdle}
}

type hurried struct {
	io.ReadCloser
	control *http.ResponseController
	idle    time.Duration
}

// Read implements io.Reader.
func (h *hurried) Read(p []byte) (int, error) {
	h.control.SetReadDeadline(time.Now().Add(h.idle))
	n, err := h.ReadCloser.Read(p)
	h.control.SetReadDeadline(time.Time{}) // the time until the next read is the app's
	return n, err
}
