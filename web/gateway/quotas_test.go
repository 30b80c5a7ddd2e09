package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// meterList are the meters that the tests' gate knows.
type meterList struct{}

func (meterList) Meter(slug string) (app.Meter, bool) {
	for _, m := range append(app.BuiltInMeters(), app.Meter{Slug: "documents", Aggregation: app.AggregationSum},
		app.Meter{Slug: "seats", Aggregation: app.AggregationMax}) {
		if m.Slug == slug {
			return m, true
		}
	}
	return app.Meter{}, false
}

func monthly(meter string, limit int64) app.Quota {
	return app.Quota{Meter: meter, Limit: limit, Period: app.PeriodMonth}
}

// granting gives the plan quotas, of meters that the store knows.
func granting(quotas ...app.Quota) func(*stage) {
	return func(s *stage) {
		s.apply(s.store.UpsertMeters(s.t.Context(), []app.Meter{{Slug: "documents", Name: "Documents", Aggregation: app.AggregationSum}}))
		s.plan.Quotas = quotas
	}
}

// account is what the ledger holds of the organization's use of a meter; it
// ends the stage's ledger.
func (s *stage) account(org app.OrgID, key app.KeyID, meter string) app.AccountState {
	s.t.Helper()
	s.apply(nil, s.ledger.Close(context.Background()))
	ledger := s.blocks.BlockStore.(*store.Ledger)
	if proof, err := metering.Check(s.t.Context(), ledger); err != nil || !proof.OK() {
		s.t.Errorf("the ledger does not hold: %v %+v", err, proof.Faults)
	}
	states, err := ledger.AccountStates(s.t.Context(), org, noon)
	s.apply(states, err)
	for _, state := range states {
		if state.Meter == meter && state.Key == key {
			return state
		}
	}
	return app.AccountState{}
}

func (a answer) quota() (q app.QuotaDetail) {
	var problem struct{ Quota app.QuotaDetail }
	json.Unmarshal([]byte(a.body), &problem)
	return problem.Quota
}

// A hard quota lets its limit pass and not one more, however many come at once;
// what it refuses is counted nowhere, and holds no place.
func TestAQuotaOfRequests(t *testing.T) {
	eachStage(t, func(t *testing.T, at store.Options) {
		s := newStageOn(t, at, granting(monthly("requests", 50)), func(s *stage) { s.plan.InFlight = 80 })
		org := s.org("Acme")
		key := bearer(s.key(org.ID).Secret)
		codes, refused := sync.Map{}, make(chan answer, 80)
		var all sync.WaitGroup
		for i := range 80 {
			all.Go(func() {
				got, err := s.try(t.Context(), "GET", fmt.Sprint("/", i), http.NoBody, key)
				if err != nil {
					t.Error(err)
				}
				codes.Store(i, got.status)
				if got.status != 200 {
					refused <- got
				}
			})
		}
		all.Wait()
		if len(refused) != 30 {
			t.Fatalf("%d of 80 refused, want 30", len(refused))
		}
		got := <-refused
		if q := got.quota(); got.status != 402 || got.code() != "quota_exhausted" || q.Limit != 50 || q.Meter != "requests" || q.ResetsAt.IsZero() {
			t.Errorf("%d %s", got.status, got.body)
		}
		if requests, _ := s.gate.InFlight(org.ID); requests != 0 {
			t.Errorf("%d places are held", requests)
		}
		if n := s.app.asked.Load(); n != 50 {
			t.Errorf("the app was asked %d times, want 50", n)
		}
		if state := s.account(org.ID, "", "requests"); state.Spent != 50 || state.Held != 0 {
			t.Errorf("account %+v, want 50 spent", state)
		}
		if sum := s.usage(org.ID); sum.Weight != 50 {
			t.Errorf("the ledger has %d units, want 50", sum.Weight)
		}
	})
}

// What a request costs, and bytes that are known only when it has ended, draw
// on quotas too; so do the callers of other proxies and of the app's own code.
func TestQuotasOfEveryWayIn(t *testing.T) {
	s := newStage(t, granting(monthly("requests", 100), monthly("cost", 5000), monthly("bytes", 100_000), monthly("documents", 10)))
	s.routes(app.Route{Name: "all"}, app.Route{Name: "dear", PathPrefix: "/dear", Cost: 2000},
		app.Route{Name: "plain", PathPrefix: "/plain", Meters: []string{"none"}})
	org := s.org("Acme")
	secret := s.key(org.ID).Secret
	key, operator := bearer(secret), bearer(s.key("").Secret)
	check := func(body string) answer {
		return s.ask("POST", "/v1/check", `{"key": "`+secret+`", `+body+`}`, operator)
	}
	for _, row := range []struct {
		name     string
		got      answer
		status   int
		contains string
	}{
		{"a request that costs", s.get("/dear", key), 200, ""},
		{"another", s.get("/dear", key), 200, ""},
		{"a third is more than the budget", s.get("/dear", key), 402, `"code":"budget_exhausted"`},
		{"one without cost passes", s.get("/v1/authorize", key, "X-Forwarded-Uri: /x"), 200, ""},
		{"the proxy is told of the budget", s.get("/v1/authorize", key, "X-Forwarded-Uri: /dear"), 402, "budget_exhausted"},
		{"the app takes requests", check(`"amount": 90`), 200, `"allowed":true`},
		{"and is refused more", check(`"amount": 90`), 200, `"allowed":false,"status":402,"code":"quota_exhausted"`},
		{"with the numbers", check(`"amount": 90`), 200, `"wanted":90`},
		{"the app takes of its own meter", check(`"meter": "documents", "amount": 8`), 200, `"allowed":true`},
		{"not more than there is", check(`"meter": "documents", "amount": 3`), 200, `"status":402`},
		{"the rest", check(`"meter": "documents", "amount": 2`), 200, `"allowed":true`},
		{"of no meter", check(`"meter": "nothing"`), 400, `"code":"meter_unknown"`},
		{"of one that does not add up", check(`"meter": "seats"`), 400, `"field":"meter"`},
		{"of one that the gate counts", check(`"meter": "bytes"`), 400, `"field":"meter"`},
		{"a body beyond what is left is not begun", s.ask("POST", "/", strings.Repeat("x", 200_000), key), 402, `"wanted":200000`},
		{"and takes nothing", s.get("/", key), 200, ""},
		{"what is not counted passes", s.get("/plain", key), 200, ""},
	} {
		if row.got.status != row.status || !strings.Contains(row.got.body, row.contains) {
			t.Errorf("%s: %d %s, want %d %s", row.name, row.got.status, row.got.body, row.status, row.contains)
		}
	}
	for meter, want := range map[string]int64{"cost": 4000, "documents": 10, "requests": 2 + 1 + 90 + 1} {
		if state := s.account(org.ID, "", meter); state.Spent != want || state.Held != 0 {
			t.Errorf("%s: %d spent, %d held, want %d", meter, state.Spent, state.Held, want)
		}
	}
	sum := s.usage(org.ID)
	if state := s.account(org.ID, "", "bytes"); state.Spent != sum.BytesIn+sum.BytesOut || state.Spent == 0 {
		t.Errorf("%d bytes spent, %d counted", state.Spent, sum.BytesIn+sum.BytesOut)
	}
}

// A failing upstream and a ledger that cannot write leave nothing reserved, and
// nothing twice.
func TestAQuotaOfRequestsThatFail(t *testing.T) {
	s := newStage(t, granting(monthly("requests", 3)))
	org := s.org("Acme")
	key := bearer(s.key(org.ID).Secret)
	s.app.Close()
	for range 3 {
		if got := s.get("/", key); got.status < 502 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if got := s.get("/", key); got.status != 402 {
		t.Errorf("%d %s, want 402: a request that failed behind the gate is one", got.status, got.body)
	}
	if state := s.account(org.ID, "", "requests"); state.Spent != 3 || state.Held != 0 {
		t.Errorf("account %+v", state)
	}
}

// While nothing can be counted, what a quota stops is not even begun, and what
// was reserved for it is given back.
func TestAQuotaWithoutTheLedger(t *testing.T) {
	s := newStage(t, granting(monthly("requests", 2)))
	org := s.org("Acme")
	key := bearer(s.key(org.ID).Secret)
	broken := func() error { return errDatabase }
	s.blocks.before.Store(&broken)
	s.ledger.Close(cancelled(t)) // fails: it cannot write
	for range 5 {
		if got := s.get("/", key); got.status != 503 || got.code() != "ledger_unavailable" || got.header.Get("Retry-After") == "" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if n := s.app.asked.Load(); n != 0 {
		t.Errorf("the app was asked %d times", n)
	}
	line, hold := s.quotas.Book(org, s.plan, nil).Line("", "requests"), quota.Hold{}
	if err := line.Reserve(t.Context(), noon, &hold, quota.Need{Meter: "requests", Amount: 2}); err != nil {
		t.Errorf("refused requests hold some of the quota: %v", err)
	}
}

// An override of the organization, and a quota of one key, hold at once.
func TestAnOverrideChangesUnderWay(t *testing.T) {
	s := newStage(t, granting(monthly("requests", 1)))
	org := s.org("Acme")
	minted := s.key(org.ID)
	one, two := bearer(minted.Secret), bearer(s.key(org.ID).Secret)
	if a, b := s.get("/", one).status, s.get("/", one).status; a != 200 || b != 402 {
		t.Fatalf("%d, then %d", a, b)
	}
	s.apply(nil, s.store.PutQuotaOverride(t.Context(), app.QuotaOverride{Org: org.ID, Quota: monthly("requests", 4)}))
	s.apply(nil, s.store.PutQuotaOverride(t.Context(), app.QuotaOverride{Org: org.ID, Key: minted.ID, Quota: monthly("requests", 1)}))
	s.clock.Pass(time.Second) // what was told of the limit before is forgotten
	if a, b := s.get("/", one), s.get("/", one); a.status != 200 || b.status != 402 || b.quota().Scope != "key" {
		t.Errorf("%d, then %d %s", a.status, b.status, b.body)
	}
	if a, b, c := s.get("/", two).status, s.get("/", two).status, s.get("/", two).status; a != 200 || b != 200 || c != 402 {
		t.Errorf("the other key: %d, %d, %d", a, b, c)
	}
}
