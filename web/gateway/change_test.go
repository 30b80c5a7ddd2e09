package gateway_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

// A key that is revoked while it is read must not be held as it was.
func TestAChangeDuringAReadIsNotHeld(t *testing.T) {
	s := newStage(t)
	org := s.org("Acme")
	key := s.key(org.ID)
	var began atomic.Bool
	revoke := func([32]byte) {
		if !began.Swap(true) {
			s.apply(s.keys.Revoke(t.Context(), system, org.ID, key.ID))
		}
	}
	s.store.afterKey.Store(&revoke)
	s.get("/", bearer(key.Secret)) // began before the revocation: either answer is right
	if got := s.get("/", bearer(key.Secret)); got.code() != "key_revoked" {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
}

// The same for an organization, whose old plan must not come back either.
func TestAnOrganizationChangedDuringAReadIsNotHeld(t *testing.T) {
	s := newStage(t, func(s *stage) { s.plan.RateLimits = []app.RateLimit{perHour("hour", 1000)} })
	org := s.org("Acme")
	key := bearer(s.key(org.ID).Secret)
	var began atomic.Bool
	suspend := func(app.OrgID) { // reading it again begins no third
		if !began.Swap(true) {
			s.plan.RateLimits = []app.RateLimit{perHour("hour", 5)}
			s.apply(s.store.UpsertPlans(t.Context(), []app.Plan{s.plan}))
			s.apply(s.orgs.Suspend(t.Context(), system, org.Slug, "unpaid"))
		}
	}
	s.store.afterOrg.Store(&suspend)
	s.get("/", key)
	if got := s.get("/", key); got.code() != "org_suspended" {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
	s.apply(s.orgs.Resume(t.Context(), system, org.Slug))
	if got := s.get("/", key); !strings.Contains(got.header.Get("RateLimit"), `"hour";r=4`) {
		t.Errorf("resumed: %d %v", got.status, got.header)
	}
}

// A first read that fails must not leave the organization where later changes
// do not reach it.
func TestAFailedFirstReadDoesNotHideTheOrganization(t *testing.T) {
	s := newStage(t)
	org := s.org("Acme")
	one, two := bearer(s.key(org.ID).Secret), bearer(s.key(org.ID).Secret)
	entered, release := make(chan struct{}), make(chan struct{})
	var reads atomic.Int64
	fail := func() error {
		if reads.Add(1) > 1 {
			return nil
		}
		close(entered)
		<-release
		return errDatabase
	}
	s.store.orgFails.Store(&fail)
	failed := make(chan int, 1)
	go func() { failed <- s.get("/", one).status }()
	<-entered
	if got := s.get("/", two); got.status != 200 { // the same organization, read meanwhile
		t.Fatalf("%d %s", got.status, got.body)
	}
	close(release)
	if status := <-failed; status != 500 {
		t.Fatalf("the failed read: %d", status)
	}
	s.apply(s.orgs.Suspend(t.Context(), system, org.Slug, "unpaid"))
	if got := s.get("/", two); got.code() != "org_suspended" {
		t.Errorf("the change did not arrive: %d %s", got.status, got.body)
	}
}

// What is held is bounded by the organizations that exist.
func TestDeletedOrganizationsAreForgotten(t *testing.T) {
	s := newStage(t)
	s.routes(app.Route{Name: "all", Auth: []app.AuthMode{app.AuthKey, app.AuthJWT, app.AuthSession}})
	kept := s.org("Kept")
	keptKey := bearer(s.key(kept.ID).Secret)
	s.get("/", keptKey)
	for i := range 20 {
		org := s.org(fmt.Sprint("Org ", i))
		key, cookieOf, token := bearer(s.key(org.ID).Secret), cookie(s.session(org.ID)), bearer(s.issuer.token(t, org.Slug, time.Hour, ""))
		for _, header := range []string{key, cookieOf, token} {
			if got := s.get("/", header); got.status != 200 {
				t.Fatalf("%d %s", got.status, got.body)
			}
		}
		s.apply(nil, s.orgs.Delete(t.Context(), system, org.Slug))
		for _, header := range []string{key, cookieOf, token} {
			if got := s.get("/", header); got.status != 401 && got.code() != "token_org_unknown" {
				t.Errorf("deleted: %d %s", got.status, got.body)
			}
		}
	}
	if orgs, credentials := s.gate.Held(); orgs != 1 || credentials != 1 {
		t.Errorf("%d organizations and %d credentials are held", orgs, credentials)
	}
	for n := range 50 {
		s.get("/", bearer(unknownKey(n)))
		s.get("/", bearer(s.issuer.token(t, fmt.Sprint("nowhere-", n), time.Hour, "")))
	}
	if orgs, credentials := s.gate.Held(); orgs != 1 || credentials != 1 {
		t.Errorf("after strangers: %d organizations and %d credentials are held", orgs, credentials)
	}
}

// Routes and upstreams change while requests run: each is answered by the old
// or the new, none by neither.
func TestReloadWhileRequestsRun(t *testing.T) {
	s := newStage(t)
	other := newSampleApp(t)
	key := bearer(s.key(s.org("Acme").ID).Secret)
	upstreams := func(second string) []app.Upstream {
		return []app.Upstream{{Name: "app", Addresses: []string{s.app.URL}}, {Name: second, Addresses: []string{other.URL}}}
	}
	s.routing(upstreams("b0"), app.Route{Name: "all"})
	done := make(chan struct{})
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got, err := s.try(t.Context(), "GET", "/x", nil, key); err != nil || got.status != 200 {
					t.Errorf("%d %s %v", got.status, got.body, err)
					return
				}
			}
		})
	}
	held := make(chan int, 1)
	go func() { held <- s.get("/held", key).status }()
	<-s.app.entered
	for i := range 15 {
		name := fmt.Sprint("b", i)
		s.routing(upstreams(name), app.Route{Name: "all", Weight: int64(i + 1)}, app.Route{Name: "other", PathPrefix: "/other", Upstream: name})
		if got := s.get("/other", key).seen(t); got.App != other.URL {
			t.Errorf("change %d is not in force: %s answered", i, got.App)
		}
	}
	close(done)
	running.Wait()
	s.app.release <- struct{}{}
	if status := <-held; status != 200 {
		t.Errorf("the request that ran all the while: %d", status)
	}
}

// A route's new limit holds at once, also for credentials that are held.
func TestARouteLimitChangesUnderWay(t *testing.T) {
	s := newStage(t)
	key := bearer(s.key(s.org("Acme").ID).Secret)
	for _, most := range []int64{1, 5, 2} {
		s.routes(app.Route{Name: "all", RateLimits: []app.RateLimit{perHour("route", most)}})
		if got := s.get("/", key); !strings.Contains(got.header.Get("RateLimit-Policy"), fmt.Sprint("q=", most)) {
			t.Errorf("limit %d: %d %v", most, got.status, got.header.Get("RateLimit-Policy"))
		}
	}
}
