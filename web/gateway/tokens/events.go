package tokens

import (
	"bytes"
	"encoding/json"
)

// events reads a stream of server-sent events. Lines end with LF, CRLF or CR;
// an event ends with an empty line. An event is held until it is whole, because
// only then it is known whether it may pass; comments between events pass at
// once, so that a client sees that the stream lives.
type events struct {
	reader *Reader
	held   []byte // of the running event, not passed yet
	line   int    // where the running line begins in held
	began  bool   // the first line of the stream is over
	fields bool   // the event holds more than comments
	cr     bool   // the last byte was a CR: a LF belongs to it
	last   fate   // of the last event

	long  bool // the event is too long to be held, and its beginning has passed
	ends  bool // the long event is the last of the answer
	empty bool // the long event's running line is empty so far

	tail     []byte // kept back since the end
	released bool   // too much came behind the end: nothing is kept back any more
}

// fate is what becomes of an event.
type fate uint8

const (
	fatePass fate = iota
	fateHide
)

func (s *events) read(piece []byte) {
	for len(piece) > 0 {
		if s.cr {
			s.cr = false
			if piece[0] == '\n' {
				s.lineFeed()
				piece = piece[1:]
				continue
			}
		}
		n := bytes.IndexAny(piece, "\r\n")
		ended := n >= 0
		if !ended {
			n = len(piece)
		} else {
			n++
		}
		s.take(piece[:n], ended)
		s.cr = piece[n-1] == '\r'
		piece = piece[n:]
	}
}

// lineFeed is the second half of a line's end.
func (s *events) lineFeed() {
	if len(s.held) > 0 {
		s.held = append(s.held, '\n')
		s.line = len(s.held)
		return
	}
	s.emit([]byte{'\n'}, s.last)
}

// take adds a part of a line; ended says that its last byte ends the line.
func (s *events) take(part []byte, ended bool) {
	if s.long {
		s.passLong(part, ended)
		return
	}
	s.held = append(s.held, part...)
	if ended {
		s.endLine()
	}
	if len(s.held) > maxEvent {
		s.becomeLong()
	}
}

func (s *events) endLine() {
	text := s.held[s.line : len(s.held)-1]
	if !s.began {
		s.began = true
		text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	}
	switch {
	case len(text) == 0:
		s.endEvent()
	case text[0] == ':' && !s.fields:
		s.emit(s.held, fatePass)
		s.clear()
	default:
		s.fields = true
		s.line = len(s.held)
	}
}

func (s *events) endEvent() {
	s.emit(s.held, s.reader.judge(readEvent(s.held)))
	s.clear()
}

func (s *events) clear() {
	s.held, s.line, s.fields = s.held[:0], 0, false
}

// becomeLong lets the beginning of an event go that is too long to be read.
func (s *events) becomeLong() {
	name, _ := readEvent(s.held)
	s.ends = endsStream(name)
	s.empty = s.line == len(s.held)
	s.emit(s.held, fatePass)
	s.held = nil
	s.clear()
	s.long = true
}

// passLong passes a part of a long event, but for the empty line that makes it
// count, where it ends the answer.
func (s *events) passLong(part []byte, ended bool) {
	over := ended && s.empty && len(part) == 1
	if over && s.ends {
		s.reader.ended = true
	}
	s.emit(part, fatePass)
	s.empty = ended
	if over {
		s.long, s.ends = false, false
	}
}

// emit sends bytes where they belong: to the client, behind the end, nowhere.
func (s *events) emit(text []byte, to fate) {
	s.last = to
	switch {
	case to == fateHide:
	case s.reader.ended && !s.released:
		s.tail = append(s.tail, text...)
		if len(s.tail) > maxEvent+maxTail {
			s.release()
		}
	default:
		s.reader.out = append(s.reader.out, text...)
	}
}

func (s *events) release() {
	s.reader.out = append(s.reader.out, s.tail...)
	s.tail, s.released = nil, true
}

// finish takes what came last for an event, though no empty line ends it.
func (s *events) finish() {
	if len(s.held) > 0 {
		s.endEvent()
	}
	s.release()
}

// readEvent reads the name and the data of an event. Data of several lines is
// joined with line feeds.
func readEvent(text []byte) (name string, data []byte) {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	several := false
	for len(text) > 0 {
		line := text
		if i := bytes.IndexAny(text, "\r\n"); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = nil
		}
		field, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			if data == nil {
				data = value
				continue
			}
			if !several { // the first line stands in the event's own memory
				data, several = bytes.Clone(data), true
			}
			data = append(append(data, '\n'), value...)
		}
	}
	return name, data
}

// judge reads an event's data for usage, notes the end of the answer, and says
// whether the client may see the event.
func (r *Reader) judge(name string, data []byte) fate {
	switch r.call.Kind {
	case KindMessage:
		r.judgeMessage(name, data)
	case KindResponse:
		r.judgeResponse(name, data)
	default:
		return r.judgeChunk(data)
	}
	return fatePass
}

// judgeChunk reads a chunk of OpenAI's completions.
func (r *Reader) judgeChunk(data []byte) fate {
	if string(bytes.TrimSpace(data)) == "[DONE]" {
		r.ended = true
		return fatePass
	}
	if !speaksOfUsage(data) {
		return fatePass
	}
	var chunk struct {
		Choices []struct {
			FinishReason *string `json:"finish_reason"`
		} `json:"choices"`
		Usage json.RawMessage `json:"usage"`
		Tier  json.RawMessage `json:"service_tier"`
	}
	if json.Unmarshal(data, &chunk) != nil {
		return fatePass
	}
	t := decodeTold(chunk.Usage)
	if t == nil {
		return fatePass
	}
	r.sums.take(r.call.API, t)
	r.serve(unquote(chunk.Tier))
	last := len(chunk.Choices) == 0
	for _, choice := range chunk.Choices {
		last = last || choice.FinishReason != nil
	}
	r.counted = r.sums.hasInput
	r.final = r.final || last && r.counted
	if r.call.Injects() && len(chunk.Choices) == 0 {
		return fateHide
	}
	return fatePass
}

// endsStream reports whether an event of this name or type is the last of an
// answer that counts.
func endsStream(kind string) bool {
	switch kind {
	case "message_stop", "response.completed", "response.incomplete", "response.failed":
		return true
	}
	return false
}

// judgeResponse reads an event of OpenAI's responses.
func (r *Reader) judgeResponse(name string, data []byte) {
	if !endsStream(name) && !bytes.Contains(data, []byte("response.")) {
		return
	}
	if name != "" && !endsStream(name) {
		return
	}
	var event struct {
		Type     string `json:"type"`
		Response struct {
			Usage  json.RawMessage `json:"usage"`
			Tier   json.RawMessage `json:"service_tier"`
			Output json.RawMessage `json:"output"`
		} `json:"response"`
	}
	if json.Unmarshal(data, &event) != nil || !endsStream(event.Type) {
		r.ended = r.ended || endsStream(name)
		return
	}
	r.ended = true
	r.serve(unquote(event.Response.Tier))
	r.countSearches(event.Response.Output)
	if t := decodeTold(event.Response.Usage); t != nil {
		r.sums.take(r.call.API, t)
		r.final = r.sums.hasInput && r.sums.hasOutput
	}
}

// judgeMessage reads an event of Anthropic's messages. What message_start says
// of the output is a placeholder; message_delta is cumulative.
func (r *Reader) judgeMessage(name string, data []byte) {
	stop := name == "message_stop" || name == "" && bytes.Contains(data, []byte("message_stop"))
	if !stop && !speaksOfUsage(data) {
		return
	}
	var event struct {
		Type  string          `json:"type"`
		Usage json.RawMessage `json:"usage"`
		Delta struct {
			StopReason *string `json:"stop_reason"`
		} `json:"delta"`
		Message struct {
			Usage json.RawMessage `json:"usage"`
		} `json:"message"`
	}
	if json.Unmarshal(data, &event) != nil {
		r.ended = r.ended || name == "message_stop"
		return
	}
	switch event.Type {
	case "message_stop":
		r.ended = true
	case "message_start":
		if t := decodeTold(event.Message.Usage); t != nil {
			r.sums.take(r.call.API, t)
		}
	case "message_delta":
		if t := decodeTold(event.Usage); t != nil {
			r.sums.take(r.call.API, t)
			r.counted = r.sums.hasInput && t.OutputTokens != nil
			r.final = r.counted && event.Delta.StopReason != nil
		}
	}
}
