package quota

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// Store lends room of accounts. Lists are sorted by account.
type Store interface {
	Grant(ctx context.Context, replica int64, claims []app.QuotaClaim) ([]app.QuotaLoan, error)
	GiveBack(ctx context.Context, replica int64, list []app.QuotaReturn) ([]app.QuotaReturned, error)
	DropEndedLeases(ctx context.Context, before time.Time) error
	PruneAccounts(ctx context.Context, before time.Time, max int) (int64, error)
	PruneNotices(ctx context.Context, max int) (int64, error)
	AccountsUpdated(ctx context.Context, since int64, max int) ([]app.AccountState, error)
	InsertNotice(ctx context.Context, n app.QuotaNotice) (first bool, err error)
	AccountNotices(ctx context.Context, a app.Account) ([]app.QuotaNotice, error)
}

// Suspender stops an organization, at the last step of the ladder.
type Suspender interface {
	Suspend(ctx context.Context, actor app.Actor, idOrSlug, reason string) (app.Org, error)
}

// Options of an Engine.
type Options struct {
	Store      Store
	Replica    func() int64                                            // whose leases: the ledger's chain
	Alive      func() bool                                             // whether that chain may still be written; nil: always
	Replicas   func() int                                              // how many share the quotas; nil: 1
	Opening    func(ctx context.Context, a app.Account) (int64, error) // what was used in the account's period so far and is in no draw on it; nil: nothing
	Books      func(ctx context.Context, org app.OrgID) (*Book, error) // the organization's quotas; for events and the ladder
	Suspender  Suspender                                               // nil: nobody is suspended
	OnNotice   func(app.QuotaNotice)                                   // hears of each notice, on the replica that wrote it
	UpgradeURL string                                                  // where customers get more; may be empty
	Now        func() time.Time                                        // default: time.Now
	Log        *slog.Logger                                            // default: discards
}

// Engine admits what quotas cover. It is safe for use by many goroutines.
type Engine struct {
	o      Options
	mu     sync.RWMutex
	orgs   map[app.OrgID]*org
	books  atomic.Int64 // made so far
	ladder ladder
}

// New makes an engine; Run keeps it going.
func New(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Alive == nil {
		o.Alive = func() bool { return true }
	}
	if o.Replicas == nil {
		o.Replicas = func() int { return 1 }
	}
	if o.Opening == nil {
		o.Opening = func(context.Context, app.Account) (int64, error) { return 0, nil }
	}
	if o.OnNotice == nil {
		o.OnNotice = func(app.QuotaNotice) {}
	}
	return &Engine{o: o, orgs: map[app.OrgID]*org{}}
}

// org holds what this replica was lent for one organization.
type org struct {
	mu       sync.Mutex // of all below, and of every balance
	balances map[balanceKey]*balance
	live     []*balance    // those that may have something to give back, or to ask for
	forgot   int64         // the latest end of a period whose balance was forgotten, Unix milliseconds
	swept    time.Time     // when balances were looked through for old ones
	slow     chan struct{} // held by who asks the database: its answers are taken in in their order
	waiting  []*asking     // what others want it to ask for
}

type balanceKey struct {
	key    app.KeyID
	meter  string
	period app.QuotaPeriod
	start  int64
}

// balance is what this replica may spend of one account: what it was lent,
// less what it reserved or settled. It is below 0 when more was spent.
type balance struct {
	app.Account
	free     int64
	surplus  int64 // was free, and is given back: the limit is lower than when it was lent
	lent     int64 // as the database said last, less what was given back
	turn     int64
	opened   bool      // the account is in the database
	unsure   bool      // an answer was lost: what was lent has to be asked for
	recalled bool      // more is lent, spent and booked than the limit: give back before anything is taken
	live     bool      // stands in org.live
	gone     bool      // was forgotten: the account has another balance, or none
	returns  bool      // its account may have had a balance before, which was forgotten
	touched  time.Time // when free was last used
	left     int64     // what nobody had been lent, when the database was last asked
	ceiling  int64     // for which left was told
	asked    time.Time // when it was asked last
	state    app.AccountState
}

func (e *Engine) org(id app.OrgID) *org {
	e.mu.RLock()
	o := e.orgs[id]
	e.mu.RUnlock()
	if o != nil {
		return o
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if o = e.orgs[id]; o == nil {
		o = &org{balances: map[balanceKey]*balance{}, slow: make(chan struct{}, 1)}
		e.orgs[id] = o
	}
	return o
}

// all lists the organizations that have balances.
func (e *Engine) all() []*org {
	e.mu.RLock()
	defer e.mu.RUnlock()
	list := make([]*org, 0, len(e.orgs))
	for _, o := range e.orgs {
		list = append(list, o)
	}
	return list
}

// balance finds or makes the account's balance; the caller holds o.mu.
func (o *org) balance(a app.Account) *balance {
	k := balanceKey{a.Key, a.Meter, a.Period, a.Start}
	b := o.balances[k]
	if b == nil {
		b = &balance{Account: a, returns: a.End != 0 && a.End <= o.forgot}
		o.balances[k] = b
	}
	return b
}

// enlist notes that the balance may have something to give back, or to ask for;
// the caller holds o.mu.
func (o *org) enlist(b *balance) {
	if !b.live && !b.gone {
		b.live = true
		o.live = append(o.live, b)
	}
}
