package quota_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// mortal is a store that a process reaches no more once it is dead.
type mortal struct {
	*store.Ledger
	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

func (m *mortal) AppendBlock(ctx context.Context, replica, seq int64, body []byte) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Ledger.AppendBlock(ctx, replica, seq, body)
}

func (m *mortal) ApplyUsage(ctx context.Context, u app.UsageApply) (bool, error) {
	if m.dead.Load() {
		return false, errDead
	}
	return m.Ledger.ApplyUsage(ctx, u)
}

func (m *mortal) Beat(ctx context.Context, replica int64) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Ledger.Beat(ctx, replica)
}

func (m *mortal) Grant(ctx context.Context, replica int64, claims []app.QuotaClaim) ([]app.QuotaLoan, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Ledger.Grant(ctx, replica, claims)
}

func (m *mortal) GiveBack(ctx context.Context, replica int64, list []app.QuotaReturn) ([]app.QuotaReturned, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Ledger.GiveBack(ctx, replica, list)
}

// member starts one replica of a cluster on PostgreSQL. Others take over
// after ten seconds of silence, but for an outage of PostgreSQL; see buried.
func member(t *testing.T, dsn string, replicas int) (*node, *mortal) {
	t.Helper()
	m := &mortal{Ledger: openStore(t, store.Options{DSN: dsn})}
	n := &node{store: m.Ledger}
	ledger, err := metering.Open(t.Context(), metering.Options{Store: m, TakeOver: 200 * time.Millisecond, DeadAfter: 10 * time.Second})
	if err != nil {
		t.Fatalf("open the meter: %v", err)
	}
	n.ledger = ledger
	n.engine = quota.New(quota.Options{Store: m, Replica: ledger.Replica, Alive: ledger.Alive, Replicas: func() int { return replicas }})
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); n.engine.Run(ctx) }()
	n.end = func() { end(); <-done }
	t.Cleanup(func() {
		if !m.dead.Load() {
			n.close()
		}
	})
	return n, m
}

// hammer sends requests until it is told to stop, no more than for half of the
// cap until PostgreSQL has stopped. While something is away it tries again in a
// moment, as a client would.
func (n *node) hammer(ctx context.Context, line *quota.Line, w *truth, stopped <-chan struct{}, random *rand.Rand) {
	for ctx.Err() == nil {
		if w.granted.Load() > w.cap/2 {
			<-stopped
		}
		passed, err := n.request(ctx, line, w, random)
		if n.passed.Add(1); !passed && !app.IsKind(err, app.KindCancelled) {
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

// buried lets the living take over a node whose process is dead, without
// waiting until it has been silent for long enough.
func (n *node) buried(t *testing.T, by *store.Ledger) {
	t.Helper()
	await(t, "the fence", func() bool {
		_, err := by.Fence(t.Context(), n.ledger.Replica(), 0, false)
		return err == nil
	})
}

// TestAHardCapHoldsOverReplicas has four replicas share a cap on PostgreSQL,
// which stops and starts again meanwhile; one of them dies, and the others
// take over what it left.
func TestAHardCapHoldsOverReplicas(t *testing.T) {
	seeds := 1
	if long() {
		seeds = 20
	}
	for seed := range seeds {
		cluster(t, uint64(seed))
	}
}

func cluster(t *testing.T, seed uint64) {
	const ceiling, replicas, goroutines = 1_000_000, 4, 25
	server, dsn := storetest.NewPostgres(t)
	w := &truth{cap: ceiling}
	plan := planOf(app.Quota{Meter: "tokens", Limit: ceiling, Period: app.PeriodLifetime})
	var (
		nodes      []*node
		mortals    []*mortal
		wait, last sync.WaitGroup
	)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	life, die := context.WithCancel(ctx) // of the last one
	defer die()
	stopped := make(chan struct{})
	for range replicas {
		n, m := member(t, dsn, replicas)
		nodes, mortals = append(nodes, n), append(mortals, m)
	}
	for i, n := range nodes {
		line := n.engine.Book(acmeOrg(), plan, nil).Line("key_1", "tokens")
		ctx, all := ctx, &wait
		if i == replicas-1 {
			ctx, all = life, &last
		}
		for g := range goroutines {
			all.Go(func() { n.hammer(ctx, line, w, stopped, rand.New(rand.NewPCG(seed, uint64(i*goroutines+g)))) })
		}
	}
	stopWatching := watch(t, nodes[0].store, ceiling)
	await(t, "some usage", func() bool { return nodes[3].passed.Load() > 200 })
	mortals[3].dead.Store(true) // with what it was lent, and what it holds
	die()
	server.Stop()
	before := w.granted.Load()
	close(stopped)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	last.Wait()
	nodes[3].buried(t, nodes[0].store)
	await(t, "the cap", func() bool {
		list, err := nodes[0].store.AccountStates(ctx, acme, time.Now())
		return err == nil && len(list) == 1 && list[0].Spent >= ceiling*97/100
	})
	stop()
	wait.Wait()
	stopWatching()
	next, _ := member(t, dsn, 1)
	for _, n := range nodes[:3] {
		if err := n.close(); err != nil { // a connection from before the stop; the next process goes on
			t.Logf("close: %v", err)
			n.buried(t, next.store)
		}
	}
	await(t, "what the dead left", func() bool {
		a := states(t, next.store, time.Now())[0]
		return a.Held == 0 && a.Leased == 0
	})
	if w.over.Load() > 0 {
		t.Errorf("%d beyond the cap at one moment", w.over.Load())
	}
	a := states(t, next.store, time.Now())[0]
	if a.Spent > ceiling || a.Spent < ceiling*97/100 {
		t.Errorf("the account says %+v", a)
	}
	t.Logf("%d used before the stop", before)
	t.Logf("%d requests; %d of %d spent, %d by the requests' own count", w.asked.Load(), a.Spent, ceiling, w.granted.Load())
	proof, err := metering.Check(t.Context(), next.store)
	if err != nil {
		t.Errorf("proof: %v %+v", err, proof)
	}
	if over := a.Spent - w.granted.Load(); over < 0 || over > replicas*goroutines*100 { // who could not close is taken over, too
		t.Errorf("%d more were spent than used: not the worst cases of what the dead held", over)
	}
}

// patience bounds every wait; only a failure takes so long.
const patience = 2 * time.Minute

// await waits for what other goroutines bring about.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
