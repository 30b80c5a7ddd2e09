package upstream

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// deliver copies the answer in e.head and body to the client. It is the only
// way out for both paths.
func (e *exchange) deliver(body answerBody) error {
	e.result.Status = e.head.status
	header := e.w.Header()
	e.fillHeader(header)
	e.startFilter(header)
	if e.gone() {
		e.retract(header)
		return e.drainUnseen(body)
	}
	if e.out.Before != nil {
		if err := e.out.Before(e.head.status, header); err != nil {
			e.retract(header)
			if e.gone() { // it waited in vain
				return e.drainUnseen(body)
			}
			return err
		}
	}
	e.w.WriteHeader(e.head.status)
	e.result.Sent = true
	e.eager = e.head.length < 0 || e.isEventStream()
	e.unflushed = true
	err := e.copyBody(body)
	if err != nil {
		e.breakOff()
		return e.fault(err)
	}
	return nil
}

// fillHeader puts the answer's fields into the client's header, without those
// that concern only the connection to the upstream.
func (e *exchange) fillHeader(header http.Header) {
	h := &e.head
	var named []string
	for _, f := range h.fields {
		if f.name == "Connection" && !strings.EqualFold(f.value, "keep-alive") && !strings.EqualFold(f.value, "close") {
			named = appendNames(named, f.value)
		}
	}
	h.fields = slices.DeleteFunc(h.fields, func(f field) bool {
		return hopByHop(f.name) || (len(named) > 0 && slices.Contains(named, f.name))
	})
	values := make([]string, len(h.fields))
	typed := false
	for i, f := range h.fields {
		values[i] = f.value
		if prior := header[f.name]; prior != nil {
			header[f.name] = append(prior, f.value)
		} else {
			header[f.name] = values[i : i+1 : i+1]
		}
		typed = typed || f.name == "Content-Type"
	}
	if !typed && header["Content-Type"] == nil {
		header["Content-Type"] = nil // or net/http would guess one
	}
}

// retract takes the answer's fields out of the header again.
func (e *exchange) retract(header http.Header) {
	for _, f := range e.head.fields {
		values := header[f.name]
		if i := slices.Index(values, f.value); i >= 0 {
			values = slices.Delete(slices.Clone(values), i, i+1)
		}
		if header[f.name] = values; len(values) == 0 {
			delete(header, f.name)
		}
	}
	if header["Content-Type"] == nil {
		delete(header, "Content-Type")
	}
}

// hopByHop reports whether an answer's field ends here. Trailer is written
// anew from what is declared.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

func appendNames(names []string, list string) []string {
	for name := range strings.SplitSeq(list, ",") {
		if name = trimBlank(name); name != "" {
			names = append(names, http.CanonicalHeaderKey(name))
		}
	}
	return names
}

func (e *exchange) isEventStream() bool {
	for _, f := range e.head.fields {
		if f.name == "Content-Type" {
			kind, _, _ := strings.Cut(f.value, ";")
			return strings.EqualFold(trimBlank(kind), "text/event-stream")
		}
	}
	return false
}

// interim passes an interim answer on: 103 Early Hints and its like. 100 goes
// only to a client that asked for it and has not been told yet, which net/http
// does when the body is first read.
func (e *exchange) interim(status int, fields []field) {
	if status == http.StatusContinue || !e.r.ProtoAtLeast(1, 1) {
		return
	}
	header := e.w.Header()
	kept := make(http.Header, len(header))
	for name, values := range header { // what the caller prepared is for the final answer
		kept[name] = values
	}
	clear(header)
	for _, f := range fields {
		if !hopByHop(f.name) && f.name != "Content-Length" {
			header[f.name] = append(header[f.name], f.value)
		}
	}
	e.w.WriteHeader(status)
	clear(header)
	for name, values := range kept {
		header[name] = values
	}
}

// copyBody moves the body piece by piece.
func (e *exchange) copyBody(body answerBody) error {
	for {
		piece, err := body.next()
		if len(piece) > 0 {
			if failed := e.pass(piece); failed != nil {
				return failed
			}
			if failed := e.drained(piece); failed != nil {
				return failed
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if err := e.endFilter(); err != nil {
				return err
			}
			e.copyTrailer(body.trailer())
			return nil
		case err != nil:
			return err
		}
	}
}

// beforeWait sends the client what it has not been sent yet, where the answer
// is a stream: so nothing of it lies about while the upstream thinks, and an
// answer that is all there goes out in one write.
func (e *exchange) beforeWait() {
	if e.eager && e.unflushed && !e.left {
		e.unflushed = false
		http.NewResponseController(e.w).Flush()
	}
}

// copyTrailer passes on the fields behind the body.
func (e *exchange) copyTrailer(fields []field) {
	if len(fields) == 0 {
		return
	}
	// Only a chunked answer can carry them, and net/http would send a short one
	// with its length instead.
	http.NewResponseController(e.w).Flush()
	header := e.w.Header()
	var declared []string
	for _, list := range header["Trailer"] {
		declared = appendNames(declared, list)
	}
	for _, f := range fields {
		name := f.name
		if hopByHop(name) || name == "Content-Length" || name == "Trailer" {
			continue
		}
		if !slices.Contains(declared, name) {
			name = http.TrailerPrefix + name
		}
		header[name] = append(header[name], f.value)
	}
}

// breakOff makes the client see that the answer is not whole: what is written
// goes out, the end of it cannot. HTTP/1.1 is closed in the middle, an HTTP/2
// stream is reset.
func (e *exchange) breakOff() {
	control := http.NewResponseController(e.w)
	control.Flush()
	if err := control.SetWriteDeadline(past); err != nil && !e.left && !errors.Is(err, net.ErrClosed) {
		panic(http.ErrAbortHandler) // a writer that cannot be cut: end it the hard way
	}
}
