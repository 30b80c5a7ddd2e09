package tokens

import (
	"compress/gzip"
	"errors"
	"io"
	"iter"
)

// maxInflated bounds what one piece may become: text shrinks to a twentieth,
// hardly to a hundredth, so a piece of 32 KiB that becomes more is an attack.
const maxInflated = 16 << 20

// unzipper decodes gzip that comes in pieces. The decoder wants to read, while
// pieces are written: it runs as a coroutine that stops where it needs more.
type unzipper struct {
	piece []byte
	out   []byte
	over  bool // no piece comes any more
	err   error
	more  func() (struct{}, bool)
	stop  func()
}

func newUnzipper() *unzipper {
	u := &unzipper{}
	u.more, u.stop = iter.Pull(u.run)
	return u
}

// run decodes until the end, and yields whenever it has used up the piece.
func (u *unzipper) run(yield func(struct{}) bool) {
	source := &pieceSource{u: u, yield: yield}
	if !source.wait() {
		return // not one byte: an empty answer
	}
	decoder, err := gzip.NewReader(source)
	if err != nil {
		u.fail(err)
		return
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := decoder.Read(buf)
		u.out = append(u.out, buf[:n]...)
		switch {
		case err != nil:
			u.fail(err)
			return
		case len(u.out) > maxInflated:
			u.err = ErrAnswer
			return
		}
	}
}

func (u *unzipper) fail(err error) {
	if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		u.err = ErrAnswer
	}
}

// write decodes a piece; what it returns is valid until the next call.
func (u *unzipper) write(piece []byte) ([]byte, error) {
	u.out, u.piece = u.out[:0], piece
	if len(piece) > 0 && u.err == nil {
		u.more()
	}
	return u.out, u.err
}

// finish decodes the rest; a stream that lacks its end is broken.
func (u *unzipper) finish() ([]byte, error) {
	u.out, u.piece, u.over = u.out[:0], nil, true
	if u.err == nil {
		u.more()
	}
	return u.out, u.err
}

func (u *unzipper) close() { u.stop() }

// pieceSource is the decoder's input. It has ReadByte, so that the decoder
// takes no more than it needs.
type pieceSource struct {
	u     *unzipper
	yield func(struct{}) bool
}

// wait has bytes at hand, or returns false at the end.
func (s *pieceSource) wait() bool {
	for len(s.u.piece) == 0 {
		if s.u.over || !s.yield(struct{}{}) {
			return false
		}
	}
	return true
}

// Read implements io.Reader.
func (s *pieceSource) Read(p []byte) (int, error) {
	if !s.wait() {
		return 0, io.EOF
	}
	n := copy(p, s.u.piece)
	s.u.piece = s.u.piece[n:]
	return n, nil
}

// ReadByte implements io.ByteReader.
func (s *pieceSource) ReadByte() (byte, error) {
	if !s.wait() {
		return 0, io.EOF
	}
	c := s.u.piece[0]
	s.u.piece = s.u.piece[1:]
	return c, nil
}
