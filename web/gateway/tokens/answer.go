package tokens

// answer reads one JSON value that comes in pieces, of any length: it keeps
// only the value of the top object's member "usage".
type answer struct {
	reader *Reader
	depth  int
	object bool // the top value is an object
	text   bool // within a string
	escape bool // behind a backslash
	naming bool // the next string on the top level is a name
	inName bool // the running string is one
	isName bool // that name was "usage", and its value comes
	name   []byte
	usage  []byte // the value so far; nil while another one runs
	over   bool   // the value has ended
	tail   []byte // its last byte, and what came behind
	freed  bool   // too much came behind
}

func (a *answer) read(piece []byte) {
	for i, c := range piece {
		if a.over {
			a.keep(piece[i:])
			return
		}
		a.step(c)
		if a.over {
			a.reader.ended = true
			a.reader.out = append(a.reader.out, piece[:i]...)
			a.keep(piece[i:])
			return
		}
	}
	a.reader.out = append(a.reader.out, piece...)
}

// keep holds the end back.
func (a *answer) keep(rest []byte) {
	if a.freed {
		a.reader.out = append(a.reader.out, rest...)
		return
	}
	a.tail = append(a.tail, rest...)
	if len(a.tail) > maxTail {
		a.finish()
	}
}

func (a *answer) finish() {
	a.reader.out = append(a.reader.out, a.tail...)
	a.tail, a.freed = nil, true
}

// step reads one byte.
func (a *answer) step(c byte) {
	a.capture(c)
	if a.text {
		a.stepText(c)
		return
	}
	switch c {
	case '"':
		a.text, a.inName = true, a.naming && a.depth == 1
		a.name = a.name[:0]
	case '{', '[':
		if a.depth == 0 {
			a.object = c == '{'
			a.naming = a.object
		}
		a.depth++
	case '}', ']':
		a.depth--
		a.captured()
		a.over = a.depth <= 0
	case ':':
		if a.depth == 1 {
			a.naming, a.isName = false, string(a.name) == "usage"
		}
	case ',':
		if a.depth == 1 {
			a.naming, a.isName = a.object, false
		}
	}
}

func (a *answer) stepText(c byte) {
	switch {
	case a.escape:
		a.escape = false
	case c == '\\':
		a.escape = true
	case c == '"':
		a.text = false
		return
	}
	if a.inName && len(a.name) <= len("usage") {
		a.name = append(a.name, c)
	}
}

// capture keeps the bytes of the usage object.
func (a *answer) capture(c byte) {
	switch {
	case a.usage != nil && len(a.usage) < maxUsage:
		a.usage = append(a.usage, c)
	case a.isName && a.depth == 1 && c == '{' && !a.text:
		a.usage, a.isName = append(make([]byte, 0, 512), c), false
	}
}

// captured reads the usage object when it has ended.
func (a *answer) captured() {
	if a.usage == nil || a.depth != 1 {
		return
	}
	r := a.reader
	if t := decodeTold(a.usage); t != nil {
		r.sums.take(r.call.API, t)
		r.final = r.sums.hasInput && r.sums.hasOutput
	}
	a.usage = nil
}
