package metering

import (
	"testing"
	"time"

	"gatehouse/app"
)

// While one request stays open for days, the writer forgets the blocks of
// those that end.
func TestTheWriterForgetsWhatIsSettled(t *testing.T) {
	w := newWriter(app.LedgerReplica{ID: 1})
	begin := func() Ticket {
		b := batch{group: &group{done: make(chan struct{})}}
		in := pendingIntent{series: Series{Org: "o"}, at: 1}
		in.load = b.with.add([]app.Use{{Meter: "tokens", Value: 1}}, nil, nil)
		b.intents = append(b.intents, in)
		w.fill(b, time.Now())
		w.seq++
		return Ticket{group: b.group, held: true}
	}
	end := func(t Ticket) {
		w.fill(batch{group: &group{done: make(chan struct{})}, settles: []pendingSettle{{ticket: t}}}, time.Now())
		w.seq++
	}
	first := begin()
	for range 1000 {
		end(begin())
	}
	if len(w.open) > 2*openGroups || w.openFrom() != first.group.seq {
		t.Errorf("%d groups are kept, from %d on; request %d is open", len(w.open), w.openFrom(), first.group.seq)
	}
	var open []Ticket
	for range 500 {
		open = append(open, begin())
	}
	if len(w.open) < 501 {
		t.Errorf("of 501 open ones %d are kept", len(w.open))
	}
	end(first)
	if w.openFrom() != open[0].group.seq {
		t.Errorf("the first open block is %d, not %d", w.openFrom(), open[0].group.seq)
	}
}
