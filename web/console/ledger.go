package console

import (
	"slices"
	"strings"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/web/ui"
)

// equation is one thing that must hold of the ledger; a fault belongs to the
// first whose words its code holds.
type equation struct {
	title, text string
	words       []string
}

var equations = []equation{
	{"The chain is whole", "No block was changed or is missing: each holds the hash of the one before it.", []string{"block", "chain", "replica", "fence"}},
	{"Each outcome belongs to one request", "What ended began once, and ended once.", []string{"outcome", "settle", "intent"}},
	{"Answered requests were counted", "Answers 2xx, counted on their own, are outcomes in the ledger.", []string{"answer", "tally"}},
	{"Requests are the sum of the blocks", "The 15-minute buckets of requests are what the blocks add up to.", []string{"bucket"}},
	{"Each event counts once", "No two blocks count the same event within 35 days.", []string{"event_twice"}},
	{"Steps have no gap", "Blocks were folded in numbered steps that join: who exports by them misses nothing.", []string{"step"}},
	{"Meters are the sum of the blocks", "So are usage of every meter, and the different values of unique ones.", []string{"meter", "member", "use", "event", "adjust"}},
	{"Quotas are charged what was used", "What each account spent and holds is the sum of its draws, and of the usage in its period.", []string{"account", "draw", "spent", "hold", "held", "lease", "quota"}},
}

// otherEquation takes faults that no words of an equation match.
var otherEquation = equation{title: "Nothing else was found", text: "Faults of other kinds."}

// equationOf is the index of the equation that a fault breaks.
func equationOf(code string) int {
	found := slices.IndexFunc(equations, func(e equation) bool {
		return slices.ContainsFunc(e.words, func(word string) bool { return strings.Contains(code, word) })
	})
	if found < 0 {
		return len(equations)
	}
	return found
}

func (s *site) ledgerPage(v *visit) error {
	if s.Proofs == nil {
		return app.NotFound("page")
	}
	return v.render(ledgerProofPage(s.ledgerView(v)))
}

// proveLedger reads the whole ledger now. What it finds, the page tells, also
// that it could not be read.
func (s *site) proveLedger(v *visit) error {
	if s.Proofs == nil {
		return app.NotFound("page")
	}
	if _, err := s.Proofs.Now(v.ctx()); err == nil {
		v.tell("The whole ledger was read again.")
	}
	return v.redirect(ui.PathLedger)
}

func (s *site) ledgerView(v *visit) ledgerView {
	p, at, err := s.Proofs.Last()
	view := ledgerView{Page: s.page(v, "Usage ledger", "system"), Ran: !at.IsZero(), At: v.moment(at)}
	if !view.Ran {
		return view
	}
	if err != nil {
		view.Failed = checkText(err)
		return view
	}
	view.Holds = p.OK()
	view.Figures = []ui.Figure{
		{Label: "Replicas", Value: ui.Count(p.Replicas), Note: "each with its own chain"},
		{Label: "Blocks", Value: ui.Short(p.Blocks), Note: blocksNote(v, p)},
		{Label: "Requests", Value: ui.Short(p.Requests), Note: ui.Count(p.Outcomes) + " outcomes, " + ui.Count(p.Unknown) + " not known"},
		{Label: "Events", Value: ui.Short(p.Events), Note: ui.Count(p.Corrected) + " corrections beside"},
		{Label: "Accounts of quotas", Value: ui.Short(p.Accounts), Note: ui.Count(p.Held) + " worst cases still held"},
	}
	view.Equations = equationRows(p)
	for _, f := range p.Faults {
		view.Faults = append(view.Faults, faultRowOf(f))
	}
	if more := p.Faulty - int64(len(p.Faults)); more > 0 {
		view.More = "and " + ui.Plural(more, "other") + ". gatehouse usage verify shows the first hundred."
	}
	return view
}

// blocksNote says how much was read, and when all of it.
func blocksNote(v *visit, p metering.Proof) string {
	if p.WholeAt.IsZero() || p.Read == p.Blocks {
		return ui.Bytes(p.Bytes) + " read and checked"
	}
	return ui.Bytes(p.Bytes) + ", " + ui.Count(p.Read) + " read now, all on " + p.WholeAt.In(v.zone).Format("2 Jan 15:04")
}

// equationRows tells of each equation whether it held. When there are more
// faults than were kept, one without a fault is not known to hold.
func equationRows(p metering.Proof) []equationRow {
	broken := make([]int64, len(equations)+1)
	for _, f := range p.Faults {
		broken[equationOf(f.Code)]++
	}
	var rows []equationRow
	for i, e := range append(slices.Clone(equations), otherEquation) {
		row := equationRow{Title: e.title, Text: e.text, State: ui.Badge{Text: "Held", Tone: "ok"}, Held: true}
		switch {
		case broken[i] > 0:
			row.Held, row.State = false, ui.Badge{Text: "Broken, " + ui.Plural(broken[i], "fault"), Tone: "bad"}
		case i == len(equations):
			continue
		case int64(len(p.Faults)) < p.Faulty:
			row.Held, row.State = false, ui.Badge{Text: "Not known"}
		}
		rows = append(rows, row)
	}
	return rows
}

func faultRowOf(f metering.Fault) faultRow {
	row := faultRow{Code: f.Code, Text: sentence(f.Text), Replica: ui.Count(f.Replica), Block: ui.Dash}
	if f.Seq > 0 {
		row.Block = ui.Count(f.Seq)
	}
	return row
}
