package upstream

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// answerBody is an answer's body in pieces, from either path.
type answerBody interface {
	// next returns the next piece, valid until the following call, or an error;
	// io.EOF after the last. It calls exchange.beforeWait before it may wait.
	next() ([]byte, error)
	// trailer returns the fields that came behind the body; after io.EOF.
	trailer() []field
}

// wireBody reads an answer's body from a connection of the direct path. Pieces
// are slices of the connection's buffer: nothing is copied.
type wireBody struct {
	e      *exchange
	c      *conn
	state  bodyState
	remain int64 // of the body or of the chunk
	excess int64 // bytes of chunk framing that no data pays for
	tail   []field
	large  *[]byte
}

type bodyState uint8

const (
	bodyDone  bodyState = iota
	bodySized           // remain bytes are to come
	bodyUntilClose
	bodyChunkSize
	bodyChunkData
	bodyChunkEnd
	bodyTrailer
)

// start prepares for the body that the head announces (RFC 9112 section 6.3).
func (b *wireBody) start(e *exchange, c *conn) {
	*b = wireBody{e: e, c: c}
	h := &e.head
	switch {
	case e.r.Method == "HEAD" || h.status == 204 || h.status == 304:
		b.state = bodyDone
	case h.chunked:
		b.state = bodyChunkSize
	case h.length > 0:
		b.state, b.remain = bodySized, h.length
	case h.length < 0:
		b.state = bodyUntilClose
		h.close = true
	}
}

// whole reports whether the body was read to its end.
func (b *wireBody) whole() bool { return b.state == bodyDone }

// end gives the large buffer back. The connection has no use for what is left
// in it: a whole body leaves nothing, and one with a rest is closed.
func (b *wireBody) end() {
	if b.large != nil {
		leftover := len(b.c.buffered()) > 0
		b.c.swap(b.c.small)
		if leftover {
			b.state = bodyUntilClose
		}
		b.e.pool.buffers.Put(b.large)
		b.large = nil
	}
}

func (b *wireBody) trailer() []field { return b.tail }

func (b *wireBody) next() ([]byte, error) {
	for {
		var piece []byte
		var err error
		switch b.state {
		case bodyDone:
			return nil, io.EOF
		case bodySized, bodyUntilClose, bodyChunkData:
			piece, err = b.data()
		case bodyChunkSize:
			err = b.chunkSize()
		case bodyChunkEnd:
			err = b.chunkEnd()
		case bodyTrailer:
			err = b.readTrailer()
		}
		if err != nil || len(piece) > 0 {
			return piece, err
		}
	}
}

// data hands out what was read of the body or the chunk.
func (b *wireBody) data() ([]byte, error) {
	if len(b.c.buffered()) == 0 {
		b.enlarge()
		if err := b.more(); err != nil {
			if b.state == bodyUntilClose && errors.Is(err, io.EOF) {
				b.state = bodyDone
				return nil, io.EOF
			}
			return nil, unexpected(err)
		}
	}
	piece := b.c.buffered()
	if b.state != bodyUntilClose {
		if int64(len(piece)) > b.remain {
			piece = piece[:b.remain]
		}
		b.remain -= int64(len(piece))
		switch {
		case b.remain > 0:
		case b.state == bodySized:
			b.state = bodyDone
		default:
			b.state = bodyChunkEnd
		}
	}
	b.c.pos += len(piece)
	return piece, nil
}

// enlarge moves a long body with a large buffer.
func (b *wireBody) enlarge() {
	if b.large != nil || (b.state != bodyUntilClose && b.remain <= smallBuffer) {
		return
	}
	large, _ := b.e.pool.buffers.Get().(*[]byte)
	if large == nil {
		fresh := make([]byte, largeBuffer)
		large = &fresh
	}
	b.large = large
	b.c.swap(*large)
}

// more reads once from the connection, within the idle time.
func (b *wireBody) more() error {
	b.e.beforeWait()
	if err := b.c.reserve(largeBuffer); err != nil {
		return malformed("chunk framing too long")
	}
	b.c.watch(b.e.work)
	b.c.readUntil(time.Now().Add(b.e.pool.options.StreamIdle))
	err := b.c.fill()
	if err != nil && !errors.Is(err, errGone) && isTimeout(err) {
		return errIdle
	}
	return err
}

// unexpected is an end that came too early.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// line returns the next line of chunk framing without its CRLF.
func (b *wireBody) line() ([]byte, error) {
	const longest = 4096 // as net/http
	for {
		data := b.c.buffered()
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			b.c.pos += i + 1
			if i == 0 || bytes.IndexByte(data[:i], '\r') != i-1 {
				return nil, malformed("chunk line")
			}
			return data[:i-1], nil
		}
		if len(data) >= longest {
			return nil, malformed("chunk line too long")
		}
		if err := b.more(); err != nil {
			return nil, unexpected(err)
		}
	}
}

func (b *wireBody) chunkSize() error {
	line, err := b.line()
	if err != nil {
		return err
	}
	size, _, _ := bytes.Cut(line, []byte{';'})
	size = bytes.TrimRight(size, " \t")
	n, err := parseHex(size)
	if err != nil {
		return err
	}
	// A sender may send single bytes in chunks, but not hide endless
	// extensions in them: framing may cost 16 bytes a chunk and twice the data.
	b.excess = max(0, b.excess+int64(len(line))+2-16-2*min(n, 1<<40))
	if b.excess > 16<<10 {
		return malformed("more chunk framing than data")
	}
	b.remain, b.state = n, bodyChunkData
	if n == 0 {
		b.state = bodyTrailer
	}
	return nil
}

// parseHex reads a chunk's size of at most 15 digits.
func parseHex(digits []byte) (n int64, err error) {
	if len(digits) == 0 || len(digits) > 15 {
		return 0, malformed("chunk size")
	}
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, malformed("chunk size")
		}
		n = n<<4 | int64(c)
	}
	return n, nil
}

func (b *wireBody) chunkEnd() error {
	line, err := b.line()
	if err == nil && len(line) > 0 {
		err = malformed("chunk without an end")
	}
	b.state = bodyChunkSize
	return err
}

// readTrailer reads the fields behind the last chunk.
func (b *wireBody) readTrailer() error {
	looked := 0
	for {
		data := b.c.buffered()
		if len(data) >= 2 && data[0] == '\r' && data[1] == '\n' {
			b.c.pos += 2
			b.state = bodyDone
			return nil
		}
		if i := bytes.Index(data[looked:], []byte("\r\n\r\n")); i >= 0 {
			n := looked + i + len("\r\n\r\n")
			var err error
			b.tail, err = parseFields(string(data[:n]), nil)
			b.c.pos += n
			b.state = bodyDone
			return err
		}
		looked = max(0, len(data)-3)
		if err := b.more(); err != nil {
			return unexpected(err)
		}
	}
}
