package limit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/store/redis"
	"gatehouse/store/storetest"
)

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for limit := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestRedisAwayAndBack(t *testing.T) {
	server := storetest.NewRedis(t)
	var said bytes.Buffer
	a := share(t, client(t, redis.Options{URL: "redis://" + server.Addr}), func(o *SharedOptions) {
		o.Log = slog.New(slog.NewTextHandler(&said, nil))
	})
	limit := func(name string, on app.FailMode) *Cell {
		l := named(name, 2, time.Hour)
		l.OnLoss = on
		return a.Cell(OrgCell("org_1", name), l)
	}
	open, closed, unsaid := limit("open", app.FailOpen), limit("closed", app.FailClosed), limit("unsaid", "")
	if d := a.Take(t.Context(), time.Now(), 1, []*Cell{open, closed, unsaid}); !d.OK || d.Degraded {
		t.Fatalf("Redis is there: %+v", d)
	}
	if s := a.Stats(); s.Degraded() || !s.Shared || s.Replicas != 1 {
		t.Errorf("Redis is there: %+v", s)
	}

	server.Stop()
	for range 5 { // more than the limit: nobody counts
		if d := a.Take(t.Context(), time.Now(), 1, []*Cell{open, unsaid}); !d.OK || !d.Degraded {
			t.Errorf("Redis is away, open: %+v", d)
		}
	}
	d := a.Take(t.Context(), time.Now(), 1, []*Cell{open, closed})
	if d.OK || !d.Degraded || d.RetryAfter <= 0 || !app.IsKind(d.Err, app.KindUnavailable) {
		t.Errorf("Redis is away, closed: %+v", d)
	}
	if got := d.Problem(time.Now()); got.Code != "rate_limit_unavailable" {
		t.Errorf("the refusal reads %+v", got)
	}
	if s := a.Stats(); !s.Degraded() || s.PassedOpen != 5 || s.RefusedClosed != 1 {
		t.Errorf("Redis is away: %+v", s)
	}

	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Redis is found back", func() bool { return !a.Stats().Degraded() })
	if got := passes(t, a, 5, 1, open); got != 2 {
		t.Errorf("Redis is back, empty: %d of 2 passed", got)
	}
	a.Close(t.Context())
	if text := said.String(); strings.Count(text, "redis is away") != 1 || strings.Count(text, "redis is back") != 1 {
		t.Errorf("logged:\n%s", text)
	}
}

// A Redis that accepts connections and says nothing delays at most the
// requests that find out; the others are decided at once.
func TestHungRedisHangsNobody(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a := share(t, client(t, redis.Options{URL: "redis://" + listener.Addr().String()}), func(o *SharedOptions) {
		o.Timeout = 50 * time.Millisecond
		o.OnLoss = app.FailClosed
	})
	if !a.Stats().Degraded() {
		t.Fatal("joined a Redis that says nothing")
	}
	cell := a.Cell(OrgCell("org_1", "hour"), named("hour", 2, time.Hour))
	calls := a.calls.Load()
	for range 1000 {
		if d := a.Take(t.Context(), time.Now(), 1, []*Cell{cell}); d.OK || d.Err == nil {
			t.Fatalf("closed: %+v", d)
		}
	}
	if got := a.calls.Load() - calls; got != 0 {
		t.Errorf("%d of 1000 requests waited for a Redis known to be away", got)
	}
	if s := a.Stats(); s.RefusedClosed != 1000 {
		t.Errorf("%+v", s)
	}
}

// Units in hand may be spent also while Redis is away: Redis counted them.
func TestLeaseOutlivesTheLossOfRedis(t *testing.T) {
	s := newStage(t)
	a, now := s.join(0)
	l := named("second", 50_000, time.Second)
	l.OnLoss = app.FailClosed
	cell := a.Cell(OrgCell("org_1", "second"), l)
	held := s.warm(a, now, cell)
	s.mini.SetError("LOADING")
	passed := int64(0)
	for a.Take(t.Context(), now(), 1, []*Cell{cell}).OK {
		settled(a)
		passed++
	}
	if passed != held {
		t.Errorf("%d passed with %d in hand", passed, held)
	}
	s.mini.SetError("")
	eventually(t, "Redis is found back", func() bool { return !a.Stats().Degraded() })
	if d := a.Take(t.Context(), now(), 1, []*Cell{cell}); !d.OK {
		t.Errorf("Redis is back: %+v", d)
	}
}

func TestCloseDoesNotHangWithoutRedis(t *testing.T) {
	s := newStage(t)
	a, now := s.join(0)
	s.warm(a, now, a.Cell(OrgCell("org_1", "second"), named("second", 50_000, time.Second)))
	s.mini.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	a.Close(ctx)
	if ctx.Err() != nil {
		t.Error("closing waited for a Redis that is gone")
	}
}

// Redis stands still in the middle of its work: requests go on without it,
// and with it when it moves again.
func TestRedisStandingStill(t *testing.T) {
	addr := storetest.Redis(t)
	a := share(t, client(t, redis.Options{URL: "redis://" + addr}), func(o *SharedOptions) { o.Timeout = 50 * time.Millisecond })
	cell := a.Cell(OrgCell("org_1", "hour"), named("hour", 1000, time.Hour))
	eventually(t, "the first passes", func() bool { return !a.Take(t.Context(), time.Now(), 1, []*Cell{cell}).Degraded })
	const pause = 1500 * time.Millisecond
	eventually(t, "2000 requests within one pause", func() bool {
		begun := time.Now()
		standStill(t, addr, pause)
		calls := a.calls.Load()
		for range 2000 {
			d := a.Take(t.Context(), time.Now(), 1, []*Cell{cell})
			if time.Since(begun) > pause {
				return false // the machine is busy: Redis moves again
			}
			if !d.OK || !d.Degraded {
				t.Fatalf("%+v", d)
			}
		}
		if waited := a.calls.Load() - calls; waited > 2 {
			t.Errorf("%d of 2000 requests waited for a Redis that stands still", waited)
		}
		return true
	})
	eventually(t, "Redis moves again", func() bool {
		d := a.Take(t.Context(), time.Now(), 1, []*Cell{cell})
		return d.OK && !d.Degraded
	})
}

// standStill lets the Redis at addr do nothing for so long, from now on.
func standStill(t *testing.T, addr string, pause time.Duration) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "CLIENT PAUSE %d ALL\r\n", pause.Milliseconds()); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
}
