package tokens

import (
	"errors"
	"strings"

	"gatehouse/app"
)

// Bounds of a Reader's memory, in bytes.
const (
	maxEvent = 1 << 20 // of a stream's event that is read; longer ones pass unread
	maxUsage = 64 << 10
	maxTail  = 64 << 10 // kept back behind the end of the answer
)

// ErrAnswer says that the answer's coding is broken.
var ErrAnswer = errors.New("the answer's gzip coding is broken")

// Reader reads an answer that passes by. It is used by one goroutine; Close
// ends it.
type Reader struct {
	call    Call
	sums    sums
	counted bool // the output is more than a placeholder
	final   bool // the usage is the last word
	ended   bool // the answer came to the end that its API gives it

	unzip *unzipper // nil for an answer that is not coded
	blind bool      // coded in a way that is not read
	mode  mode
	bom   int // bytes of a byte order mark that were seen
	sse   events
	whole answer
	out   []byte
}

type mode uint8

const (
	modeUndecided mode = iota // until the first byte that is not blank
	modeEvents
	modeWhole // one JSON value
	modePlain // neither: it passes
)

// NewReader reads the answer to a call by its Content-Type and
// Content-Encoding.
func NewReader(api app.EgressAPI, call Call, contentType, contentEncoding string) *Reader {
	call.API = api
	r := &Reader{call: call}
	r.sse.reader, r.whole.reader = r, r
	switch strings.ToLower(strings.TrimSpace(contentEncoding)) {
	case "", "identity":
	case "gzip", "x-gzip":
		r.unzip = newUnzipper()
	default:
		r.blind = true
	}
	kind, _, _ := strings.Cut(contentType, ";")
	switch {
	case !call.Counted() || r.blind:
		r.mode = modePlain
	case strings.EqualFold(strings.TrimSpace(kind), "text/event-stream"):
		r.mode = modeEvents
	}
	return r
}

// Decodes reports whether what Write passes is decoded, so that the answer to
// the client has no Content-Encoding.
func (r *Reader) Decodes() bool { return r.unzip != nil }

// Write takes the next piece of the answer and returns what may go to the
// client now, valid until the next call. What tells of injected usage is left
// out, the end of the answer is kept back. The error is ErrAnswer.
func (r *Reader) Write(piece []byte) (pass []byte, err error) {
	r.out = r.out[:0]
	if r.unzip != nil {
		if piece, err = r.unzip.write(piece); err != nil {
			return nil, err
		}
	}
	r.read(piece)
	return r.out, nil
}

// Finish says that the answer has ended, and returns what was kept back. The
// usage is known before.
func (r *Reader) Finish() (rest []byte, err error) {
	r.out = r.out[:0]
	if r.unzip != nil {
		last, err := r.unzip.finish()
		if err != nil {
			return nil, err
		}
		r.read(last)
	}
	switch r.mode {
	case modeEvents:
		r.sse.finish()
	case modeWhole:
		r.whole.finish()
	}
	return r.out, nil
}

// Close lets go of what decodes the answer. It may be called at any time.
func (r *Reader) Close() {
	if r.unzip != nil {
		r.unzip.close()
	}
}

// Usage is what the answer said of its usage so far; found says whether that
// is the last word. An answer that says nothing has no usage found, which is
// not 0.
func (r *Reader) Usage() (usage app.TokenUsage, found bool) {
	if !r.final && !(r.ended && r.counted) {
		return app.TokenUsage{}, false
	}
	return r.priced(r.sums.usage), true
}

// Estimate is what to count where no usage was found: the worst case, with the
// input as the answer told it where it did.
func (r *Reader) Estimate(worst app.TokenUsage) app.TokenUsage {
	if !r.sums.hasInput {
		return worst
	}
	u := r.priced(r.sums.usage)
	u.Output, u.Searches = max(u.Output, worst.Output), max(u.Searches, worst.Searches)
	return u
}

func (r *Reader) read(piece []byte) {
	for len(piece) > 0 {
		switch r.mode {
		case modeUndecided:
			piece = r.decide(piece)
		case modeEvents:
			r.sse.read(piece)
			return
		case modeWhole:
			r.whole.read(piece)
			return
		case modePlain:
			r.out = append(r.out, piece...)
			return
		}
	}
}

// decide looks at the first byte that is not blank: some vendors name another
// type than they send.
func (r *Reader) decide(piece []byte) (rest []byte) {
	for i, c := range piece {
		switch {
		case c == ' ' || c == '\n' || c == '\r' || c == '\t':
			continue
		case r.bom < len(byteOrderMark) && c == byteOrderMark[r.bom]:
			r.bom++
			continue
		case c == '{' || c == '[':
			r.mode = modeWhole
		case r.call.Stream:
			r.mode = modeEvents
		default:
			r.mode = modePlain
		}
		r.out = append(r.out, piece[:i]...)
		return piece[i:]
	}
	r.out = append(r.out, piece...)
	return nil
}

const byteOrderMark = "\xef\xbb\xbf"
