package metering

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"gatehouse/app"
)

var checkNoon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// paper is a ledger in memory, whose tables are what its blocks say.
type paper struct {
	replicas []app.LedgerReplica
	blocks   map[int64][][]byte
	steps    []app.AppliedRange
	tables   *sums
	openings map[app.Account]int64
	pruned   []app.AccountsPruned
	gone     map[app.Account]bool
	read     int // blocks
	writer   encoder
}

func newPaper(chains int) *paper {
	p := &paper{blocks: map[int64][][]byte{}, tables: newSums(), openings: map[app.Account]int64{}, gone: map[app.Account]bool{}}
	for id := int64(1); id <= int64(chains); id++ {
		p.replicas = append(p.replicas, app.LedgerReplica{ID: id, Sync: app.LedgerSyncFull, StartedAt: checkNoon, OpenFrom: 1, Answered: -1,
			Applied: app.LedgerLink{Replica: id}})
	}
	return p
}

// write adds a block to a chain, and folds it.
func (p *paper) write(replica int64, b *Block) {
	r := &p.replicas[replica-1]
	b.Replica, b.Seq, b.Link = replica, r.Applied.Seq+1, r.Applied
	if r.Applied.Seq == 0 {
		b.Link = r.Link
	}
	body, hash := p.writer.encode(b)
	p.blocks[replica] = append(p.blocks[replica], slices.Clone(body))
	p.steps = append(p.steps, app.AppliedRange{N: int64(len(p.steps)) + 1, Replica: replica, From: r.Applied.Seq, To: b.Seq})
	r.Applied = app.LedgerLink{Replica: replica, Seq: b.Seq, Hash: hash}
	p.tables.fold(b)
}

// report writes a block of events with the ids, received at a time.
func (p *paper) report(replica int64, received time.Time, ids ...string) {
	b := &Block{Base: received.UnixMilli(), Meters: []MeterSeries{{Org: "org_1", Meter: "documents"}}}
	for _, id := range ids {
		b.Events = append(b.Events, Event{Org: "org_1", Source: "s", ID: id, At: b.Base, Received: b.Base, Body: [8]byte{1}})
		b.Uses = append(b.Uses, Use{At: b.Base, Value: 1})
	}
	p.write(replica, b)
}

func (p *paper) WalkLedger(_ context.Context, w app.LedgerWalk) error {
	if err := w.Replicas(p.replicas); err != nil {
		return err
	}
	var err error
	pass := func(next error) { err = cmp.Or(err, next) }
	for _, gone := range p.pruned {
		pass(w.Pruned(gone))
	}
	if w.Block == nil { // the first look, at what there is
		pass(w.Position(int64(len(p.steps))))
		return err
	}
	for _, r := range p.replicas {
		for i := max(1, w.From(r.ID)); i <= int64(len(p.blocks[r.ID])); i++ {
			p.read++
			pass(w.Block(r.ID, i, p.blocks[r.ID][i-1]))
		}
	}
	for _, s := range p.steps[min(len(p.steps), int(w.Steps)):] {
		pass(w.Step(s))
	}
	pass(w.Position(int64(len(p.steps))))
	for _, b := range p.tables.cells {
		pass(w.Bucket(*b))
	}
	for _, m := range p.tables.meters {
		pass(w.Meter(*m))
	}
	for m := range p.tables.members {
		pass(w.Member(m))
	}
	for a, d := range p.tables.draws {
		if !p.gone[a] {
			pass(w.Account(app.AccountState{Account: a, Spent: d.Spent + p.openings[a], Held: d.Held, Opening: p.openings[a]}))
		}
	}
	return err
}

func (p *paper) Blocks(_ context.Context, replica, after int64, most int, each func(seq int64, body []byte) error) error {
	list := p.blocks[replica]
	for i := after; i < min(int64(len(list)), after+int64(most)); i++ {
		p.read++
		if err := each(i+1, list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *paper) Steps(_ context.Context, after int64, most int, each func(app.AppliedRange) error) error {
	for _, s := range p.steps[after:min(len(p.steps), int(after)+most)] {
		if err := each(s); err != nil {
			return err
		}
	}
	return nil
}

// codes of what a reading finds.
func (p *paper) codes(t *testing.T, c *reading) (codes []string) {
	t.Helper()
	proof, err := c.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range proof.Faults {
		codes = append(codes, f.Code)
	}
	return codes
}

func TestAnEventThatTwoBlocksCountIsFound(t *testing.T) {
	day := 24 * time.Hour
	cases := []struct {
		name  string
		apart time.Duration
		want  string
	}{
		{"at once", 0, "[event_twice]"},
		{"a month later", 34 * day, "[event_twice]"},
		{"when its id was forgotten", 36 * day, "[]"},
		{"much later", 100 * day, "[]"},
	}
	for _, c := range cases {
		for _, slots := range []int{1 << 12, 64} { // all at once, and in many looks
			for _, v := range []struct{ chains, first int64 }{{1, 10}, {2, 10}, {1, 50}, {2, 50}} { // a set begins on day 64
				chains, first := v.chains, time.Duration(v.first)
				t.Run(fmt.Sprint(c.name, slots, v), func(t *testing.T) {
					p := newPaper(2)
					for d := range 160 {
						for quarter := range 4 { // more blocks than are read at once
							at := checkNoon.Add(time.Duration(d)*day + time.Duration(quarter)*time.Hour)
							for chain := int64(1); chain <= 2; chain++ {
								var ids []string
								for i := range 3 {
									ids = append(ids, fmt.Sprint(chain, "-", d, "-", quarter, "-", i))
								}
								if d == int(first) && quarter == 0 && chain == 1 || at.Equal(checkNoon.Add(first*day+c.apart)) && chain == chains {
									ids = append(ids, "again")
								}
								p.report(chain, at, ids...)
							}
						}
					}
					if c.apart == 0 && chains == 1 {
						p.report(1, checkNoon.Add(160*day), "again")
						p.report(1, checkNoon.Add(160*day), "again")
					}
					r := newReading(p, newProven(), whole)
					r.twice = newTwice(slots)
					if got := fmt.Sprint(p.codes(t, r)); got != c.want {
						t.Errorf("found %s, want %s", got, c.want)
					}
					if looks := p.read / (2 * 4 * 160); slots == 64 && looks < 4 {
						t.Errorf("read %d times: the names were never too many", looks)
					}
				})
			}
		}
	}
}

// TestStepsThatWereNumberedLaterJoin has the steps of a ledger that is older
// than their numbers: what was folded before is one step, after the others.
func TestStepsThatWereNumberedLaterJoin(t *testing.T) {
	p := newPaper(1)
	for i := range 3 {
		p.report(1, checkNoon, fmt.Sprint("e", i))
	}
	for order, want := range map[[3]int64]string{{1, 2, 0}: "[]", {1, 0, 2}: "[]", {0, 2, 1}: "[steps_differ steps_differ]", {0, 1, 1}: "[steps_differ steps_differ]"} {
		for i, from := range order {
			p.steps[i].From, p.steps[i].To = from, from+1
		}
		if got := fmt.Sprint(p.codes(t, newReading(p, newProven(), whole))); got != want {
			t.Errorf("steps after %v: found %s, want %s", order, got, want)
		}
	}
}

// TestAReadingGoesOnWhereTheLastOneEnded lets a ledger grow, with late usage,
// and breaks each kind of row after each growth.
func TestAReadingGoesOnWhereTheLastOneEnded(t *testing.T) {
	p, proven := newPaper(2), newProven()
	for round := range 20 {
		now := checkNoon.Add(time.Duration(round) * 3 * time.Hour)
		for chain := int64(1); chain <= 2; chain++ {
			p.write(chain, growth(now, round))
		}
		before := p.read
		proof, err := newReading(p, proven, round == 0).run(t.Context())
		if err != nil || !proof.OK() || proof.Blocks != int64(2*(round+1)) || proof.Requests != proof.Blocks {
			t.Fatalf("round %d: %+v, %v", round, proof, err)
		}
		if read := p.read - before; round > 0 && read > 6 { // two that are new, and where each chain goes on
			t.Errorf("round %d: read %d blocks", round, read)
		}
	}
	for name, change := range p.changes() {
		change(1)
		if got := p.codes(t, newReading(p, proven, onlyNew)); len(got) == 0 {
			t.Errorf("%s: found nothing going on", name)
		}
		if got := p.codes(t, newReading(p, newProven(), whole)); len(got) == 0 {
			t.Errorf("%s: found nothing from the beginning", name)
		}
		change(-1)
		if got := p.codes(t, newReading(p, proven, onlyNew)); len(got) > 0 {
			t.Errorf("%s, mended: found %v", name, got)
		}
	}
}

// growth is a block of one request, with usage of that time and of long before.
func growth(now time.Time, round int) *Block {
	at, hour := now.UnixMilli(), now.Truncate(time.Hour).UnixMilli()
	late := checkNoon.UnixMilli()
	return &Block{Base: at, Series: []Series{{"org_1", "key_1", "r"}}, Intents: []Intent{{0, at, 2}},
		Meters: []MeterSeries{{Org: "org_1", Key: "key_1", Meter: "pages"}, {Org: "org_1", Meter: "visitors", Unique: true}},
		Uses:   []Use{{0, at, 7, false}, {0, late + int64(round), int64(round), true}, {1, at, 5, false}, {1, late, int64(round % 3), false}},
		Accounts: []app.Account{{Org: "org_1", Meter: "pages", Period: app.PeriodHour, Start: hour, End: hour + 3_600_000},
			{Org: "org_1", Key: "key_1", Meter: app.MeterRequests, Period: app.PeriodMinute, Start: at, End: at + 60_000}},
		Draws: []Draw{{0, 7, 0}, {1, 2, 0}}}
}

// changes changes one row of each table, of an old and of a new time, by a number.
func (p *paper) changes() map[string]func(by int64) {
	list := map[string]func(by int64){}
	for k, b := range p.tables.cells {
		list["requests at "+b.Start.String()] = func(by int64) { b.Requests += by }
		list["duration at "+b.Start.String()] = func(by int64) { b.Duration += time.Duration(by) * time.Microsecond }
		list["start of "+b.Start.String()] = func(by int64) { p.tables.cells[k].Start = b.Start.Add(time.Duration(by) * time.Millisecond) }
	}
	for _, m := range p.tables.meters {
		name := m.Meter + " at " + m.Start.String()
		list["sum of "+name] = func(by int64) { m.Sum += by }
		list["count of "+name] = func(by int64) { m.Count += by }
		list["estimated of "+name] = func(by int64) { m.Estimated += by }
		list["max of "+name] = func(by int64) { m.Max += by }
		list["latest of "+name] = func(by int64) { m.Latest += by }
		list["latest time of "+name] = func(by int64) { m.LatestAt += by }
	}
	for _, d := range p.tables.draws {
		name := fmt.Sprint(d.Account.Period, d.Account.Start)
		list["spent of "+name] = func(by int64) { d.Spent += by }
		list["held of "+name] = func(by int64) { d.Held += by }
	}
	list["a member more"] = func(by int64) {
		m := app.MeterMember{Org: "org_1", Meter: "visitors", Start: checkNoon, Value: 99}
		if p.tables.members[m] = struct{}{}; by < 0 {
			delete(p.tables.members, m)
		}
	}
	return list
}
