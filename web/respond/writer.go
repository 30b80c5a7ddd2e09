package respond

import (
	"net/http"

	"gatehouse/app"
)

// Writer is a ResponseWriter that knows what was sent, and carries what the
// access log says of the request. http.ResponseController reaches through it.
type Writer struct {
	http.ResponseWriter
	Status int   // of the final answer; 0 before it
	Bytes  int64 // of the body
	Actor  app.Actor
	Code   string // of the refusal or failure, "" when there is none
}

// WriteHeader implements http.ResponseWriter.
func (w *Writer) WriteHeader(status int) {
	if w.Status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.Status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *Writer) Write(p []byte) (int, error) {
	if w.Status == 0 {
		w.Status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.Bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher; it does nothing where the writer below cannot.
func (w *Writer) Flush() {
	if w.Status == 0 {
		w.Status = http.StatusOK
	}
	http.NewResponseController(w.ResponseWriter).Flush() // unsupported is no fault of the caller
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Sent reports whether the answer's header has left.
func (w *Writer) Sent() bool { return w.Status != 0 }

// Note tells the access log who performs the request.
func Note(w http.ResponseWriter, actor app.Actor) {
	if known := find(w); known != nil {
		known.Actor = actor
	}
}

// find returns the *Writer in w's chain of wrappers, or nil.
func find(w http.ResponseWriter) *Writer {
	for {
		switch known := w.(type) {
		case *Writer:
			return known
		case interface{ Unwrap() http.ResponseWriter }:
			w = known.Unwrap()
		default:
			return nil
		}
	}
}
