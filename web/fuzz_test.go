package web

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

// FuzzFraming compares where requests end: for the guard, and for net/http
// reading what the guard passes on. A difference is what smuggling needs.
func FuzzFraming(f *testing.F) {
	for _, c := range crossings {
		f.Add([]byte(c.request+"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"), uint8(0))
		f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"+c.request), uint8(7))
	}
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		passed, ends, refused := follow(data, int(step))
		theirs, wrong := readRequests(passed)
		for i := range min(len(ends), len(theirs)) {
			if ends[i] != theirs[i] {
				t.Fatalf("request %d ends at %d, for net/http at %d, in %q", i, ends[i], theirs[i], passed)
			}
		}
		if !refused && !wrong && len(ends) != len(theirs) {
			t.Fatalf("%d requests, for net/http %d, in %q", len(ends), len(theirs), passed)
		}
		if len(theirs) > len(ends) && !refused {
			t.Fatalf("net/http reads %d requests where the guard sees %d, in %q", len(theirs), len(ends), passed)
		}
	})
}

// follow feeds the data in steps and notes where requests end.
func follow(data []byte, step int) (passed []byte, ends []int, refused bool) {
	f := framing{limits: Limits{}.withDefaults()}
	if step == 0 {
		step = 1 // the end of a request shows only between steps
	}
	for start := 0; start < len(data); {
		size := 1
		if f.hasBody() {
			size = min(step, int(max(f.remain, 1)))
		}
		part := data[start:min(start+size, len(data))]
		before := f
		n, wrong := f.feed(part)
		passed = append(passed, part[:n]...)
		if wrong != nil {
			if !f.hasBody() {
				passed = append(passed, poison...)
			}
			return passed, ends, true
		}
		if f.state == atRequestLine && before.state != atRequestLine {
			ends = append(ends, len(passed))
		}
		if f.state == passing {
			return passed, ends, true
		}
		start += len(part)
	}
	return passed, ends, false
}

// readRequests reads as net/http's server does, and notes where requests end.
func readRequests(data []byte) (ends []int, wrong bool) {
	source := bytes.NewReader(data)
	in := bufio.NewReader(source)
	for {
		if _, err := in.Peek(1); err != nil {
			return ends, false
		}
		r, err := http.ReadRequest(in)
		if err != nil || r.ProtoMajor != 1 {
			return ends, true
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return ends, true
		}
		ends = append(ends, len(data)-source.Len()-in.Buffered())
	}
}
