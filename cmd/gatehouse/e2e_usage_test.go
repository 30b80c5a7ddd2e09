package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gatehouse/store/storetest"
)

const documentsMeter = "meters:\n- {slug: documents, name: Documents, aggregation: count, event_type: document.created}\n" +
	"- {slug: pages, name: Pages, aggregation: sum, event_type: document.created, value: pages}\n"

// TestKillsLoseAndDoubleNothing kills the process at random moments, 200 times
// at full length, while plain requests, paid calls and events come in.
func TestKillsLoseAndDoubleNothing(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		kills := 4
		if long() {
			kills = 200
		}
		s := newUsageStage(t, e, "5000")
		s.give(documentsMeter, "meter", "apply", "-f", "-")
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		front, console := s.url, s.console // which start writes anew
		var (
			events               reporter
			stop                 atomic.Bool
			sent, answered, paid atomic.Int64
			all                  sync.WaitGroup
		)
		for i := range 3 {
			events.report(fmt.Sprintf("w%d", i), console, s.ownKey, s.org)
		}
		for range 8 {
			all.Go(func() {
				for !stop.Load() {
					sent.Add(1)
					if status, _ := send("GET", front+"/x", s.orgKey, ""); status == http.StatusOK {
						answered.Add(1)
					} else if status == 0 {
						time.Sleep(10 * time.Millisecond)
					}
				}
			})
			all.Go(func() {
				for !stop.Load() {
					status, raw := s.think(front, 200)
					switch status {
					case http.StatusOK:
						paid.Add(1)
					case 0, http.StatusServiceUnavailable, http.StatusBadGateway:
						time.Sleep(10 * time.Millisecond)
					default:
						t.Errorf("paid call: %d %s", status, raw)
						return
					}
				}
			})
		}
		for range kills {
			p := s.spawnServe()
			before := answered.Load()
			s.await("answers", func() bool { return answered.Load() > before+20 })
			time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
			p.signal(syscall.SIGKILL)
		}
		s.start()
		events.stop.Store(true)
		events.all.Wait()
		stop.Store(true)
		all.Wait()
		s.settled()
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		s.proven()
		documents, pages, cost := s.meter("documents"), s.meter("pages"), s.meter("cost")
		if want := events.distinct.Load(); documents != want || pages != 3*want {
			t.Errorf("%d documents and %d pages counted of %d events, sent %d times", documents, pages, want, events.sent.Load())
		}
		if truth := s.paid.cost.Load(); cost < truth {
			t.Errorf("%d micros counted, the paid API was asked for %d", cost, truth)
		}
		t.Logf("%d kills: %d of %d requests answered, %d paid calls of %d, cost counted %d of truly %d, %d events sent %d times, counted %d",
			kills, answered.Load(), sent.Load(), paid.Load(), s.paid.calls.Load(), cost, s.paid.cost.Load(), events.distinct.Load(), events.sent.Load(), documents)
	})
}

// TestABudgetHoldsUnderAThousandCallers asks for more than the budget covers,
// all at once: the paid API must never be asked for more, and nearly all of
// the budget must be used.
func TestABudgetHoldsUnderAThousandCallers(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := newUsageStage(t, e, "1")
		const limit = 1_000_000
		var all sync.WaitGroup
		var refused atomic.Int64
		for range 1000 {
			all.Go(func() {
				for {
					status, raw := s.insist(s.url, 1+rand.IntN(400))
					switch status {
					case http.StatusOK:
					case http.StatusPaymentRequired:
						refused.Add(1)
						return
					default:
						t.Errorf("paid call: %d %s", status, raw)
						return
					}
				}
			})
		}
		all.Wait()
		for range 200 { // small calls use what is left
			if status, _ := s.insist(s.url, 20); status != http.StatusOK {
				break
			}
		}
		truth := s.paid.cost.Load()
		if truth > limit || truth < limit*99/100 {
			t.Errorf("the paid API was asked for %d micros of a budget of %d", truth, limit)
		}
		s.budget(s.console, "all is settled", func(a account) bool { return a.Reserved == 0 && a.Used == truth })
		t.Logf("%d calls cost %d of %d micros, %d callers refused", s.paid.calls.Load(), truth, limit, refused.Load())
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		s.proven()
	})
}

// TestAFencedProcessEnds fences a process that lives, as others would who took
// it for dead: it must end, so that its supervisor starts it anew.
func TestAFencedProcessEnds(t *testing.T) {
	dsn := storetest.Postgres(t)
	g := newGate(t, engine{"PostgreSQL", []string{"database.url=" + dsn, "redis.url=redis://" + storetest.Redis(t), "encryption_key=" + strings.Repeat("5a", 32)}})
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	p := g.spawnServe()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "UPDATE main.usage_replica SET fenced_at = 1 WHERE closed_at = 0"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		if err == nil || !strings.Contains(p.output.String(), "may count no more") {
			t.Errorf("it ended with %v:\n%s", err, p.output)
		}
	case <-time.After(patience):
		t.Error("it still runs")
	}
	g.spawnServe() // and the next one is well
}

// TestABudgetHoldsOverReplicas lets four processes spend one budget while one
// of them is killed and PostgreSQL is restarted.
func TestABudgetHoldsOverReplicas(t *testing.T) {
	server, dsn := storetest.NewPostgres(t)
	e := engine{"PostgreSQL", []string{"database.url=" + dsn, "redis.url=redis://" + storetest.Redis(t), "encryption_key=" + strings.Repeat("5a", 32)}}
	s := newUsageStage(t, e, "1")
	const limit = 1_000_000
	s.paid.pause = 20 * time.Millisecond
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	replicas := make([]*process, 4)
	fronts := make([]string, len(replicas))
	for i := range replicas {
		g := &gate{t: t, app: s.app, terminal: newTerminal(t)}
		g.terminal.args = append(g.terminal.args, s.terminal.args[2:]...) // a data directory of its own
		g.terminal.args = append(g.terminal.args, "--set", "gateway.addr="+freePort(t), "--set", "console.addr="+freePort(t))
		config := g.config()
		g.url, g.console = config.gatewayURL(), config.consoleURL()
		replicas[i], fronts[i] = g.spawnServe(), g.url
		s.url, s.console = g.url, g.console // the last one lives
	}
	var (
		all         sync.WaitGroup
		stop        atomic.Bool
		unavailable atomic.Int64
	)
	for i := range 64 {
		all.Go(func() {
			for !stop.Load() {
				status, _ := s.think(fronts[i%len(fronts)], 1+rand.IntN(300))
				if status == http.StatusServiceUnavailable {
					unavailable.Add(1)
				}
				if status != http.StatusOK {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	spent := func(share int64) func() bool {
		return func() bool { return s.paid.cost.Load() >= limit*share/100 }
	}
	s.await("a quarter is spent", spent(25))
	replicas[0].signal(syscall.SIGKILL)
	s.await("half is spent", spent(50))
	server.Stop()
	before := unavailable.Load()
	s.await("who calls is refused while PostgreSQL is away", func() bool { return unavailable.Load() > before })
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	// What the killed one held is settled, and what it was lent comes back, once
	// the others are sure that it is dead.
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline) && !spent(97)(); {
		time.Sleep(50 * time.Millisecond)
	}
	stop.Store(true)
	all.Wait()
	truth := s.paid.cost.Load()
	told := s.budget(s.console, "all is settled", func(a account) bool { return a.Reserved == 0 && a.Used >= truth })
	if truth > limit || told.Used > limit || told.Used < truth || told.Used < limit*97/100 {
		t.Errorf("the paid API was asked for %d, %+v counted, of a budget of %d", truth, told, limit)
	}
	t.Logf("%d calls cost %d, counted %d of %d", s.paid.calls.Load(), truth, told.Used, limit)
	for _, p := range replicas[1:] {
		if err := p.signal(syscall.SIGTERM); err != nil {
			t.Errorf("exit: %v\n%s", err, p.output)
		}
	}
	s.proven()
}
