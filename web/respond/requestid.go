package respond

import (
	"math/rand/v2"
	"net/http"
)

// HeaderRequestID is the header that carries the request id, in canonical form.
const HeaderRequestID = "X-Request-Id"

// maxRequestID bounds an id that a caller brings along.
const maxRequestID = 64

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// NewRequestID returns a fresh id: "req_" and 24 characters (120 random bits).
// It names a request in logs and guards nothing.
func NewRequestID() string {
	out := [28]byte{0: 'r', 1: 'e', 2: 'q', 3: '_'}
	at := 4
	for range 2 {
		bits := rand.Uint64()
		for range 12 {
			out[at] = crockford[bits&31]
			bits >>= 5
			at++
		}
	}
	return string(out[:])
}

// AssignRequestID gives the request its id and puts it into the answer's
// header: the caller's own X-Request-Id when that is at most 64 characters of
// letters, digits and - _ . : =, else a new one.
func AssignRequestID(w http.ResponseWriter, r *http.Request) string {
	header := w.Header()
	if brought := r.Header[HeaderRequestID]; len(brought) == 1 && saneRequestID(brought[0]) {
		header[HeaderRequestID] = brought
		return brought[0]
	}
	id := NewRequestID()
	header[HeaderRequestID] = []string{id}
	return id
}

// RequestID returns the id that AssignRequestID gave, or "".
func RequestID(w http.ResponseWriter) string {
	if id := w.Header()[HeaderRequestID]; len(id) > 0 {
		return id[0]
	}
	return ""
}

func saneRequestID(id string) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '=':
		default:
			return false
		}
	}
	return true
}
