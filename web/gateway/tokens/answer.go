package tokens

// answer reads one JSON value that comes in pieces, of any length: it keeps
// only the value of the top object's member "usage", and of "service_tier", and
// counts the searches among the elements of its lists.
type answer struct {
	reader *Reader
	depth  int
	object bool   // the top value is an object
	text   bool   // within a string
	escape bool   // behind a backslash
	naming bool   // the next string on the top level is a name
	isName bool   // the last name was "usage", and its value comes
	word   []byte // the beginning of the running or last string on the top level, or in an element of a list
	name   string // of the top object's member that runs
	field  string // of an element's
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
		a.text, a.word = true, a.word[:0]
	case '{', '[':
		if a.depth == 0 {
			a.object = c == '{'
			a.naming = a.object
		}
		a.depth++
		a.field = ""
	case '}', ']':
		a.depth--
		a.captured()
		a.over = a.depth <= 0
	case ':':
		switch a.depth {
		case 1:
			a.name = string(a.word)
			a.naming, a.isName = false, a.name == "usage"
		case inElement:
			a.field = string(a.word)
		}
	case ',':
		a.field = ""
		if a.depth == 1 {
			a.naming, a.isName = a.object, false
		}
	}
}

const (
	inElement = 3                   // the depth within an object that is in a list of the top object
	maxWord   = len(searchCall) + 1 // bytes of a string that are looked at
)

// said takes in a text that has ended.
func (a *answer) said() {
	switch {
	case a.depth == 1 && !a.naming && a.name == "service_tier":
		a.reader.serve(string(a.word))
	case a.depth == inElement && a.field == "type":
		a.reader.searched(string(a.word))
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
		a.said()
		return
	}
	if (a.depth == 1 || a.depth == inElement) && len(a.word) < maxWord {
		a.word = append(a.word, c)
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
