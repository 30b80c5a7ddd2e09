package web

import (
	"bytes"
	"strings"
)

// framing follows the bytes of an HTTP/1.1 connection as they come in and finds
// what net/http takes and other servers read differently, which is what request
// smuggling lives on: bare line feeds, folded headers, both kinds of length,
// repeated lengths, codings under HTTP/1.0. It decides nothing else: what
// passes here is still read by net/http. Being strict, the two cannot
// disagree on where a request ends.
type framing struct {
	limits Limits
	state  framingState
	line   []byte // of a line whose end has not come, its beginning
	remain int64  // bytes of the body or the chunk that are to come
	begun  bool   // some request came before

	old     bool // HTTP/1.0
	length  int64
	lengths int
	chunked bool
	bytes   int // of the head, the chunk framing or the trailer
	fields  int
}

type framingState uint8

const (
	atRequestLine framingState = iota
	inHeader
	inBody
	atChunkSize
	inChunk
	atChunkEnd
	inTrailer
	passing // another protocol: HTTP/2, or a tunnel
)

// hasBody reports whether the connection is within a request's body.
func (f *framing) hasBody() bool { return f.state >= inBody && f.state <= inTrailer }

// feed takes in what was read and returns how much of it may be passed on, and
// the refusal that what follows deserves.
func (f *framing) feed(p []byte) (int, *refusal) {
	for i := 0; i < len(p); {
		switch f.state {
		case passing:
			return len(p), nil
		case inBody, inChunk:
			n := int(min(int64(len(p)-i), f.remain))
			i += n
			if f.remain -= int64(n); f.remain == 0 {
				f.endData()
			}
			continue
		}
		end := bytes.IndexByte(p[i:], '\n')
		if end < 0 {
			return f.keep(p, i)
		}
		line := p[i : i+end+1]
		if len(f.line) > 0 {
			f.line = append(f.line, line...)
			line = f.line
		}
		// Without its line feed a bad line stays open, and is made worse: see guard.
		if wrong := f.takeLine(line); wrong != nil {
			return i + end, wrong
		}
		if f.line = f.line[:0]; cap(f.line) > 1<<10 {
			f.line = nil
		}
		i += end + 1
	}
	return len(p), nil
}

// keep holds the beginning of a line until its end comes.
func (f *framing) keep(p []byte, from int) (int, *refusal) {
	if f.bytes+len(f.line)+len(p)-from > f.limits.HeaderBytes {
		return from, refusedTooLarge
	}
	f.line = append(f.line, p[from:]...)
	return len(p), nil
}

func (f *framing) endData() {
	if f.state == inChunk {
		f.state = atChunkEnd
		return
	}
	f.endRequest()
}

func (f *framing) endRequest() {
	*f = framing{limits: f.limits, line: f.line, begun: true}
}

// takeLine judges one line with its end.
func (f *framing) takeLine(line []byte) *refusal {
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return refusedLineFeed
	}
	if f.bytes += len(line); f.bytes > f.limits.HeaderBytes {
		return refusedTooLarge
	}
	line = line[:len(line)-2]
	switch f.state {
	case atRequestLine:
		f.requestLine(line)
	case inHeader:
		return f.headerLine(line)
	case atChunkSize:
		return f.chunkSize(line)
	case atChunkEnd:
		if len(line) > 0 {
			return refusedChunk
		}
		f.state, f.bytes = atChunkSize, 0
	case inTrailer:
		if len(line) == 0 {
			f.endRequest()
			return nil
		}
		return f.countField(line)
	}
	return nil
}

// requestLine notes the version. An empty line before it is left to net/http.
func (f *framing) requestLine(line []byte) {
	if len(line) == 0 {
		return
	}
	f.state = inHeader
	f.old = bytes.HasSuffix(line, []byte(" HTTP/1.0"))
	if !f.begun && f.limits.http2 && string(line) == "PRI * HTTP/2.0" {
		f.state = passing
	}
}

func (f *framing) headerLine(line []byte) *refusal {
	if len(line) == 0 {
		f.startBody()
		return nil
	}
	if wrong := f.countField(line); wrong != nil {
		return wrong
	}
	// Only two names matter, and both begin like few others.
	switch {
	case line[0]|0x20 == 'c' && named(line, "content-length"):
		return f.takeLength(line[len("content-length:"):])
	case line[0]|0x20 == 't' && named(line, "transfer-encoding"):
		return f.takeCoding(line[len("transfer-encoding:"):])
	}
	return nil
}

// countField refuses folded lines and too many fields.
func (f *framing) countField(line []byte) *refusal {
	if line[0] == ' ' || line[0] == '\t' {
		return refusedFolded
	}
	if f.fields++; f.fields > f.limits.HeaderFields {
		return refusedTooMany
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || line[colon-1] == ' ' || line[colon-1] == '\t' {
		return refusedName
	}
	return nil
}

func named(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name)
}

func (f *framing) takeLength(value []byte) *refusal {
	value = bytes.Trim(value, " \t")
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' || n > 1<<58 {
			return refusedLength
		}
		n = n*10 + int64(c-'0')
	}
	f.lengths++
	f.length = n
	switch {
	case len(value) == 0:
		return refusedLength
	case f.lengths > 1:
		return refusedRepeated
	case f.chunked:
		return refusedBoth
	}
	return nil
}

func (f *framing) takeCoding(value []byte) *refusal {
	switch {
	case f.lengths > 0:
		return refusedBoth
	case f.chunked || f.old || !strings.EqualFold(string(bytes.Trim(value, " \t")), "chunked"):
		return refusedCoding
	}
	f.chunked = true
	return nil
}

// startBody follows the head's end.
func (f *framing) startBody() {
	f.bytes, f.fields = 0, 0
	switch {
	case f.chunked:
		f.state = atChunkSize
	case f.length > 0:
		f.state, f.remain = inBody, f.length
	default:
		f.endRequest()
	}
}

// chunkSize reads a chunk's size; extensions may follow it.
func (f *framing) chunkSize(line []byte) *refusal {
	size, _, _ := bytes.Cut(line, []byte{';'})
	size = bytes.TrimRight(size, " \t")
	if len(size) == 0 || len(size) > 15 || bytes.IndexByte(line, '\r') >= 0 {
		return refusedChunk
	}
	var n int64
	for _, c := range size {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return refusedChunk
		}
		n = n<<4 | int64(c)
	}
	f.remain, f.state, f.bytes = n, inChunk, 0
	if n == 0 {
		f.state = inTrailer
	}
	return nil
}
