package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/app/quota"
	"gatehouse/store"
)

// depot answers /sized/N and /stream/N with N bytes, whose length is told or
// not; it counts the requests that reached it, and the bytes of whole bodies.
type depot struct {
	*httptest.Server
	asked, whole atomic.Int64
}

func newDepot(t *testing.T) *depot {
	d := &depot{}
	d.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.asked.Add(1)
		if n, err := io.Copy(io.Discard, r.Body); err == nil {
			d.whole.Add(n)
		}
		var kind string
		var size int64
		fmt.Sscanf(strings.ReplaceAll(r.URL.Path, "/", " "), "%s %d", &kind, &size)
		switch kind {
		case "sized":
			w.Header().Set("Content-Length", fmt.Sprint(size))
		case "empty":
			w.WriteHeader(http.StatusNoContent)
			return
		case "known":
			w.Header().Set("Content-Length", fmt.Sprint(size))
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if r.Method == http.MethodHead {
			return
		}
		piece := bytes.Repeat([]byte("x"), 8<<10)
		for ; size > 0; size -= int64(len(piece)) {
			if _, err := w.Write(piece[:min(size, int64(len(piece)))]); err != nil {
				return
			}
		}
	}))
	d.Start()
	t.Cleanup(d.Close)
	return d
}

// takes is a stage with a depot behind it and one organization.
type takes struct {
	*stage
	depot *depot
	org   app.Org
	key   string
}

func newTakes(t *testing.T, at store.Options, quotas ...app.Quota) *takes {
	t.Helper()
	s := &takes{stage: newStageOn(t, at, granting(quotas...)), depot: newDepot(t)}
	s.routing([]app.Upstream{{Name: "depot", Addresses: []string{s.depot.URL}}}, app.Route{Name: "depot", Upstream: "depot"})
	s.org = s.stage.org("Acme")
	s.key = bearer(s.stage.key(s.org.ID).Secret)
	return s
}

// download reads what comes, and whether it came whole.
func (s *takes) download(path string) (status int, n int64, whole bool) {
	request, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+path, nil)
	if err != nil {
		s.t.Error(err)
		return 0, 0, false
	}
	request.Header.Set("Authorization", s.key[15:])
	got, err := http.DefaultClient.Do(request)
	if err != nil { // broken off before its head was read
		return 0, 0, false
	}
	defer got.Body.Close()
	n, err = io.Copy(io.Discard, got.Body)
	return got.StatusCode, n, err == nil
}

// free reports what is left of the meter for a request that takes all of it.
func (s *takes) free(meter string, amount int64) error {
	hold := quota.Hold{}
	line := s.quotas.Book(s.org, s.plan, nil).Line("", meter)
	err := line.Reserve(s.t.Context(), noon, &hold, quota.Need{Meter: meter, Amount: amount})
	hold.Release(nil)
	return err
}

// However many download at once, no more bytes reach them than the quota has;
// and where there is demand, it is used.
func TestAQuotaOfBytesUnderDownloads(t *testing.T) {
	const limit, each = 8 << 20, 300_000
	eachStage(t, func(t *testing.T, at store.Options) {
		s := newTakes(t, at, monthly("bytes", limit))
		var delivered, cut, refused atomic.Int64
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				status, n, whole := s.download(fmt.Sprint("/stream/", each))
				switch {
				case status == http.StatusPaymentRequired:
					refused.Add(1)
					return
				case !whole:
					cut.Add(1)
				case n != each:
					t.Errorf("a clean end after %d of %d bytes", n, each)
				}
				delivered.Add(n)
			})
		}
		all.Wait()
		awaitThat(t, "all are settled", func() bool { n, _ := s.gate.InFlight(s.org.ID); return n == 0 })
		if n := delivered.Load(); n > limit || n < limit*97/100 || cut.Load() == 0 {
			t.Errorf("%d bytes of %d reached the clients; %d were cut, %d refused", n, limit, cut.Load(), refused.Load())
		}
		state, sum := s.account(s.org.ID, "", "bytes"), s.usage(s.org.ID)
		if state.Spent > limit || state.Spent < delivered.Load() || state.Held != 0 || sum.BytesOut != state.Spent {
			t.Errorf("account %+v, usage %+v", state, sum)
		}
		if sum.Requests != 64-refused.Load() {
			t.Errorf("%d requests are counted", sum.Requests)
		}
	})
}

// What is known to be too large does not begin; what fits exactly passes, and
// what has no body takes nothing.
func TestAQuotaOfBytesOfKnownLength(t *testing.T) {
	s := newTakes(t, onSQLite(t), monthly("bytes", 200_000))
	upload := func(n int, headers ...string) answer {
		return s.ask("POST", "/sized/0", strings.Repeat("x", n), append(headers, s.key)...)
	}
	for _, row := range []struct {
		name    string
		run     func() answer
		status  int
		reached int64 // requests of the depot
	}{
		{"an answer that is too large", func() answer { return s.get("/sized/200001", s.key) }, 402, 1},
		{"a body that is too large", func() answer { return upload(200_001) }, 402, 0},
		{"a head alone", func() answer { return s.ask("HEAD", "/sized/99000000", "", s.key) }, 200, 1},
		{"nothing new", func() answer { return s.get("/known/99000000", s.key) }, 304, 1},
		{"nothing at all", func() answer { return s.get("/empty", s.key) }, 204, 1},
		{"half of it", func() answer { return s.get("/sized/100000", s.key) }, 200, 1},
		{"a body and an answer", func() answer { return s.ask("POST", "/sized/20000", strings.Repeat("x", 30_000), s.key) }, 200, 1},
		{"a body that leaves too little for its answer", func() answer {
			return s.ask("POST", "/sized/25001", strings.Repeat("x", 25_000), s.key)
		}, 402, 1},
	} {
		before := s.depot.asked.Load()
		got := row.run()
		if got.status != row.status || s.depot.asked.Load()-before != row.reached {
			t.Errorf("%s: %d %.200s, the app was asked %d times", row.name, got.status, got.body, s.depot.asked.Load()-before)
		}
		if got.status == 402 && (got.code() != "quota_exhausted" || got.quota().Meter != "bytes") {
			t.Errorf("%s: %s", row.name, got.body)
		}
	}
	if err := s.free("bytes", 25_000); err != nil { // the last one's body reached the app
		t.Error(err)
	}
	if got := s.get("/sized/25000", s.key); got.status != 200 || len(got.body) != 25_000 {
		t.Errorf("the rest: %d, %d bytes", got.status, len(got.body))
	}
	if got := s.get("/empty", s.key); got.status != 402 {
		t.Errorf("nothing is left: %d", got.status)
	}
	if state, sum := s.account(s.org.ID, "", "bytes"), s.usage(s.org.ID); state.Spent != 200_000 || state.Held != 0 || sum.BytesIn+sum.BytesOut != 200_000 {
		t.Errorf("account %+v, usage %+v", state, sum)
	}
}

// A body of unknown length stops where the quota ends; the app sees none whole.
func TestAQuotaOfBytesOfUploads(t *testing.T) {
	s := newTakes(t, onSQLite(t), monthly("bytes", 150_000))
	got, err := s.try(t.Context(), "POST", "/sized/0", io.MultiReader(strings.NewReader(strings.Repeat("x", 500_000))), s.key)
	if err == nil && got.status != 402 { // or the client was cut while it sent
		t.Errorf("%d %s", got.status, got.body)
	}
	if s.depot.whole.Load() != 0 {
		t.Error("the app took a part for the whole")
	}
	awaitThat(t, "it is settled", func() bool { n, _ := s.gate.InFlight(s.org.ID); return n == 0 })
	if state := s.account(s.org.ID, "", "bytes"); state.Spent > 150_000 || state.Held != 0 {
		t.Errorf("account %+v", state)
	}
}

// A process that dies amid a download leaves charged what it had reserved, as
// an estimate.
func TestAQuotaOfBytesOfAProcessThatDies(t *testing.T) {
	eachStage(t, func(t *testing.T, at store.Options) {
		s := newTakes(t, at, monthly("bytes", 10<<20))
		going := make(chan struct{})
		depot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(w, io.LimitReader(zeroes{}, 1<<20))
			http.NewResponseController(w).Flush()
			select {
			case <-going:
			case <-r.Context().Done():
			}
		}))
		t.Cleanup(depot.Close)
		s.routing([]app.Upstream{{Name: "depot", Addresses: []string{depot.URL}}}, app.Route{Name: "depot", Upstream: "depot"})
		request, _ := http.NewRequestWithContext(t.Context(), "GET", s.url+"/", nil)
		request.Header.Set("Authorization", s.key[15:])
		got, err := http.DefaultClient.Do(request)
		s.apply(got, err)
		t.Cleanup(func() { got.Body.Close() })
		_, err = io.CopyN(io.Discard, got.Body, 1<<20)
		s.apply(nil, err)
		opened, err := store.OpenLedger(t.Context(), at)
		s.apply(opened, err)
		t.Cleanup(func() { opened.Close() })
		taken, err := metering.Open(t.Context(), metering.Options{Store: opened, Now: s.clock.Now, DeadAfter: time.Second, TakeOver: 50 * time.Millisecond})
		s.apply(taken, err)
		awaitThat(t, "the dead process is taken over", func() bool { return !s.ledger.Alive() })
		states, err := opened.AccountStates(t.Context(), s.org.ID, noon)
		if err != nil || len(states) != 1 || states[0].Spent < 1<<20 || states[0].Spent > 10<<20 || states[0].Held != 0 {
			t.Errorf("%+v %v", states, err)
		}
		report, err := metering.Reports{Store: opened}.Meter(t.Context(), system, app.MeterQuery{Org: s.org.ID, Meter: "bytes",
			Since: noon.Add(-time.Hour), Until: noon.Add(time.Hour)})
		if err != nil || report.Rows[0].Value != states[0].Spent || report.Rows[0].Estimated == 0 {
			t.Errorf("usage %+v, %v", report.Rows, err)
		}
		close(going)
		taken.Close(t.Context())
		if proof, err := metering.Check(t.Context(), opened); err != nil || !proof.OK() {
			t.Errorf("%+v %v", proof, err)
		}
	})
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }
