package quota_test

import (
	"context"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// used counts a request that took so much of the line's quota, exactly.
func (n *node) used(t *testing.T, line *quota.Line, at time.Time, amount int64) {
	t.Helper()
	var h quota.Hold
	if err := line.Reserve(t.Context(), at, &h, quota.Need{Meter: "tokens", Amount: amount, Final: true}); err != nil {
		t.Fatal(err)
	}
	ticket := n.ledger.Begin(app.Intent{At: at, Org: acme, Route: "r", Weight: 1, Uses: []app.Use{{Meter: "tokens", Value: amount}}, Draws: h.Draws(nil)})
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.ledger.Settle(ticket, app.Outcome{Status: 200})
	h.Free()
}

// heldBack folds nothing while it is told to.
type heldBack struct {
	*store.Ledger
	folds chan struct{} // closed when blocks may be folded
}

func (h *heldBack) ApplyUsage(ctx context.Context, u app.UsageApply) (bool, error) {
	select {
	case <-h.folds:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return h.Ledger.ApplyUsage(ctx, u)
}

// A soft quota's account that cannot be opened at first is charged all the same,
// and once: whether the charge is folded when the account is opened, or not.
func TestAnAccountThatIsOpenedLateCountsOnce(t *testing.T) {
	for _, folded := range []bool{false, true} {
		t.Run(map[bool]string{false: "before it is folded", true: "after"}[folded], func(t *testing.T) {
			eachEngine(t, func(t *testing.T, o store.Options) { openLate(t, o, folded) })
		})
	}
}

func openLate(t *testing.T, o store.Options, folded bool) {
	c := &clock{at: time.Now()}
	held := &heldBack{Ledger: openStore(t, o), folds: make(chan struct{})}
	ledger, err := metering.Open(t.Context(), metering.Options{Store: held, TakeOver: time.Hour, Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{store: held.Ledger, ledger: ledger, end: func() {}}
	b := &broken{Store: n.store}
	reports := metering.Reports{Store: n.store, Meters: finder{}}
	n.engine = quota.New(quota.Options{Store: b, Replica: ledger.Replica, Now: c.now,
		Opening: func(ctx context.Context, a app.Account) (int64, error) { return reports.Uncharged(ctx, a, c.now()) }})
	soft := monthly("tokens", 100)
	soft.Mode = app.QuotaSoft
	before := n.engine.Book(acmeOrg(), planOf(), nil).Line("", "tokens")
	line := n.engine.Book(acmeOrg(), planOf(soft), nil).Line("", "tokens")
	n.used(t, before, c.now(), 7) // in no draw
	b.down = true
	n.used(t, line, c.now(), 90)
	b.down = false
	if folded {
		close(held.folds)
		applied(t, n)
	}
	n.used(t, line, c.now(), 1)
	if !folded {
		close(held.folds)
	}
	if err := n.close(); err != nil { // all is folded behind it
		t.Error(err)
	}
	if list := states(t, n.store, c.now()); len(list) != 1 || list[0].Spent != 98 || list[0].Opening != 7 {
		t.Errorf("98 were used, 7 of it before: %+v", list)
	}
}

type finder struct{}

func (finder) Find(_ context.Context, _ app.Actor, slug string) (app.Meter, error) {
	return app.Meter{Slug: slug, Aggregation: app.AggregationSum}, nil
}
