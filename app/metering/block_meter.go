package metering

import (
	"encoding/binary"

	"gatehouse/app"
)

// Kinds of record that carry quantities of meters and what they draw on
// quotas, and the lists that they point into.
const (
	kindEvent  = 3 // org, key, source, type: texts; id: a text of its own; time, received: varints; 16 bytes name, 8 bytes body
	kindAdjust = 4 // meter uvarint, time, value: varints; by: a text; reason: a text of its own
	kindUse    = 5 // 2 × meter (+1: estimated) uvarint, time, value: varints
	kindHold   = 6 // intent, meter, amount: uvarints
	kindDraw   = 7 // account uvarint, rising; spent, held: varints

	kindMeters   = 8 // org, key, route, meter, dimensions: texts; 1 when unique
	kindAccounts = 9 // org, key, meter, period: texts; start, end: varints
)

// Bounds as in block.go.
const (
	maxValue = 1 << 50 // of one use or hold, either way from 0
	maxDraw  = 1 << 62 // of one block on one account, either way from 0
	maxText  = 1 << 12 // bytes of an event's source, id or type, or of a reason
)

// MeterSeries names what a quantity is counted under.
type MeterSeries struct {
	Org         app.OrgID
	Key         app.KeyID
	Route       app.RouteID
	Meter, Dims string // as app.Use has them
	Unique      bool   // values are hashes of a set's members
}

// Use is the record of a quantity.
type Use struct {
	Series    int   // index into the block's meters
	At        int64 // Unix milliseconds
	Value     int64
	Estimated bool // nobody said the true quantity
}

// Hold is the worst case of a quantity that the request's SETTLE will tell. It
// counts nothing by itself.
type Hold struct {
	Intent int // index into the block's intents
	Series int // index into the block's meters
	Amount int64
}

// Draw is what all of the block's records change of one account.
type Draw struct {
	Account     int // index into the block's accounts; one record for each
	Spent, Held int64
}

// Event is the record of what the operator's app reported. What it counts are
// Uses in the same block.
type Event struct {
	Org              app.OrgID
	Key              app.KeyID
	Source, ID, Type string
	At, Received     int64    // Unix milliseconds
	ID16             [16]byte // app.EventID16
	Body             [8]byte  // app.Event.Body
}

// Adjust is the record of an operator's correction.
type Adjust struct {
	Series     int // index into the block's meters
	At, Value  int64
	Reason, By string // By is an actor
}

// metered reports whether the block holds more than requests.
func (b *Block) metered() bool {
	return len(b.Meters)+len(b.Accounts)+len(b.Events) > 0 // uses, holds, adjusts and draws point into them
}

// records is how many records the block holds.
func (b *Block) records() int {
	return len(b.Intents) + len(b.Settles) + len(b.Uses) + len(b.Holds) + len(b.Draws) + len(b.Events) + len(b.Adjusts)
}

// requests is how many of its intents are requests.
func (b *Block) requests() (n int64) {
	for i := range b.Intents {
		n += int64(1 - bit(b.Intents[i].More()))
	}
	return n
}

// empty prepares the block for new contents, in the same memory.
func (b *Block) empty() {
	b.Series, b.Intents, b.Settles = b.Series[:0], b.Intents[:0], b.Settles[:0]
	b.Meters, b.Accounts, b.Uses, b.Holds = b.Meters[:0], b.Accounts[:0], b.Uses[:0], b.Holds[:0]
	b.Draws, b.Events, b.Adjusts = b.Draws[:0], b.Events[:0], b.Adjusts[:0]
}

// meterTexts adds the texts of meters, accounts, events and corrections to the
// dictionary, in the order in which metered writes them.
func (e *encoder) meterTexts(b *Block) {
	for i := range b.Meters {
		m := &b.Meters[i]
		e.refs = append(e.refs, e.text(string(m.Org)), e.text(string(m.Key)), e.text(string(m.Route)), e.text(m.Meter), e.text(m.Dims))
	}
	for i := range b.Accounts {
		a := &b.Accounts[i]
		e.refs = append(e.refs, e.text(string(a.Org)), e.text(string(a.Key)), e.text(a.Meter), e.text(string(a.Period)))
	}
	for i := range b.Events {
		r := &b.Events[i]
		e.refs = append(e.refs, e.text(string(r.Org)), e.text(string(r.Key)), e.text(r.Source), e.text(r.Type))
	}
	for i := range b.Adjusts {
		e.refs = append(e.refs, e.text(b.Adjusts[i].By))
	}
}

func (e *encoder) metered(b *Block) {
	e.section(kindMeters, len(b.Meters), func(i int) {
		e.write(5)
		e.numbers(bit(b.Meters[i].Unique))
	})
	e.section(kindAccounts, len(b.Accounts), func(i int) {
		e.write(4)
		e.signed(b.Accounts[i].Start, b.Accounts[i].End)
	})
	e.section(kindEvent, len(b.Events), func(i int) { e.event(b, &b.Events[i]) })
	e.section(kindAdjust, len(b.Adjusts), func(i int) {
		r := &b.Adjusts[i]
		e.numbers(uint64(r.Series))
		e.signed(r.At-b.Base, r.Value)
		e.write(1)
		e.out = appendText(e.out, r.Reason)
	})
	e.section(kindUse, len(b.Uses), func(i int) {
		r := &b.Uses[i]
		e.numbers(uint64(r.Series)<<1 | bit(r.Estimated))
		e.signed(r.At-b.Base, r.Value)
	})
	e.section(kindHold, len(b.Holds), func(i int) {
		r := &b.Holds[i]
		e.numbers(uint64(r.Intent), uint64(r.Series), uint64(r.Amount))
	})
	e.section(kindDraw, len(b.Draws), func(i int) {
		r := &b.Draws[i]
		e.numbers(uint64(r.Account))
		e.signed(r.Spent, r.Held)
	})
}

// section writes n records of a kind, or nothing when there are none.
func (e *encoder) section(kind uint64, n int, record func(i int)) {
	if n == 0 {
		return
	}
	e.numbers(kind, uint64(n))
	for i := range n {
		record(i)
	}
}

func (e *encoder) event(b *Block, r *Event) {
	e.write(4)
	e.out = appendText(e.out, r.ID)
	e.signed(r.At-b.Base, r.Received-b.Base)
	e.out = append(e.out, r.ID16[:]...)
	e.out = append(e.out, r.Body[:]...)
}

func (e *encoder) signed(values ...int64) {
	for _, v := range values {
		e.out = binary.AppendVarint(e.out, v)
	}
}

func bit(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}
