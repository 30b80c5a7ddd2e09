package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"gatehouse/app"
	embedded "gatehouse/embed/redis"
	"gatehouse/store/storetest"
)

// eachRedis runs the test on the Redis inside the process and on a real one.
func eachRedis(t *testing.T, test func(t *testing.T, c *Client)) {
	t.Run("in process", func(t *testing.T) {
		server, err := embedded.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		test(t, open(t, Options{Dial: server.Dial}))
	})
	t.Run("Redis", func(t *testing.T) { test(t, open(t, Options{URL: "redis://" + storetest.Redis(t) + "/0"})) })
}

func open(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for limit := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestIncrCountsAWindowThatHitsDoNotRenew(t *testing.T) {
	eachRedis(t, func(t *testing.T, c *Client) {
		ctx := t.Context()
		const window = 800 * time.Millisecond
		begun := time.Now()
		for want := int64(1); want <= 3; want++ {
			if n, err := c.Incr(ctx, "hits", window); err != nil || n != want {
				t.Fatalf("hit %d: counted %d, %v", want, n, err)
			}
		}
		// Hit on: a window that each hit renews would never end.
		eventually(t, "the window ends", func() bool {
			n, err := c.Incr(ctx, "hits", window)
			if err != nil {
				t.Fatal(err)
			}
			return n == 1
		})
		if took := time.Since(begun); took < window {
			t.Errorf("the window of %s ended after %s", window, took)
		}
		if err := c.Forget(ctx, "hits"); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Incr(ctx, "hits", time.Hour); err != nil || n != 1 {
			t.Errorf("after Forget: counted %d, %v", n, err)
		}
	})
}

func TestIncrLosesNoHitOfManyAtOnce(t *testing.T) {
	eachRedis(t, func(t *testing.T, c *Client) {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				for range 10 {
					if _, err := c.Incr(t.Context(), "many", time.Hour); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if n, _ := c.Incr(t.Context(), "many", time.Hour); n != 201 {
			t.Errorf("counted %d of 201", n)
		}
	})
}

func TestLockIsHeldByOneAndFreedByItsHolderAlone(t *testing.T) {
	eachRedis(t, func(t *testing.T, c *Client) {
		ctx := t.Context()
		first, err := c.Lock(ctx, "job", time.Hour)
		if err != nil || first == nil {
			t.Fatalf("a free lock: %v, %v", first, err)
		}
		if second, err := c.Lock(ctx, "job", time.Hour); err != nil || second != nil {
			t.Fatalf("a held lock was given: %v, %v", second, err)
		}
		stranger := &Lock{client: c, key: "job", token: "guessed"}
		if err := stranger.Unlock(ctx); err != nil {
			t.Fatal(err)
		}
		if held, err := first.Extend(ctx, 300*time.Millisecond); err != nil || !held {
			t.Fatalf("the holder's lock was freed by a stranger: %v, %v", held, err)
		}
		var next *Lock
		eventually(t, "the lock expires", func() bool {
			next, err = c.Lock(ctx, "job", time.Hour)
			return err == nil && next != nil
		})
		if held, _ := first.Extend(ctx, time.Hour); held {
			t.Error("an expired lock was extended over another's")
		}
		first.Unlock(ctx)
		if held, _ := next.Extend(ctx, time.Hour); !held {
			t.Error("an expired holder freed the next one's lock")
		}
		if err := next.Unlock(ctx); err != nil {
			t.Fatal(err)
		}
		if free, err := c.Lock(ctx, "job", time.Hour); err != nil || free == nil {
			t.Errorf("an unlocked lock is not free: %v, %v", free, err)
		}
	})
}

func TestSubscribersHearWhatIsPublished(t *testing.T) {
	eachRedis(t, func(t *testing.T, c *Client) {
		ctx, cancel := context.WithCancel(t.Context())
		listening, heard := make(chan struct{}, 1), make(chan string, 200)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.Subscribe(ctx, "changes", func() { listening <- struct{}{} }, func(m string) { heard <- m })
		}()
		<-listening
		for i := range 100 {
			if err := c.Publish(ctx, "changes", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 100 {
			if got := <-heard; got != fmt.Sprint(i) {
				t.Fatalf("message %d: %q", i, got)
			}
		}
		cancel()
		<-ended
	})
}

func TestSubscriptionComesBackAfterARestart(t *testing.T) {
	server := storetest.NewRedis(t)
	c := open(t, Options{URL: "redis://" + server.Addr})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	listening, heard := make(chan struct{}, 10), make(chan string, 10)
	go c.Subscribe(ctx, "changes", func() { listening <- struct{}{} }, func(m string) { heard <- m })
	<-listening
	server.Stop()
	if _, err := c.Ping(ctx); !app.IsKind(err, app.KindUnavailable) {
		t.Errorf("a stopped Redis: %v", err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	<-listening
	if err := c.Publish(ctx, "changes", "again"); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "again" {
		t.Errorf("heard %q", got)
	}
}

func TestRunScriptAnswersEachRunAndLearnsAForgottenScript(t *testing.T) {
	eachRedis(t, func(t *testing.T, c *Client) {
		ctx := t.Context()
		const double = `if ARGV[1] == 'bad' then return redis.error_reply('ERR bad') end return {ARGV[1] * 2, #KEYS}`
		args, keys := [][]any{{21}, {"bad"}, {4}}, [][]string{{"{a}1", "{a}2"}, {}, {"k"}}
		for round := range 2 {
			got, err := c.RunScript(ctx, double, keys, args)
			if err == nil || fmt.Sprint(got) != "[[42 2] [] [8 1]]" || got[1] != nil {
				t.Fatalf("round %d: %v, %v", round, got, err)
			}
			if err := c.db.ScriptFlush(ctx).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A pipeline longer than any buffer must not stand still.
func TestRunScriptRunsVeryManyAtOnce(t *testing.T) {
	eachRedis(t, func(t *testing.T, c *Client) {
		const n = 1000
		args, keys := make([][]any, n), make([][]string, n)
		long := strings.Repeat("x", 500)
		for i := range n {
			keys[i], args[i] = []string{long}, []any{i, long}
		}
		got, err := c.RunScript(t.Context(), `return {ARGV[1] + 0}`, keys, args)
		if err != nil || len(got) != n || got[n-1][0] != n-1 {
			t.Fatalf("%d answers, %v", len(got), err)
		}
	})
}

func TestPasswordIsUsedAndNeverShown(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, text := range []string{
		"redis://:" + secret + "@host:port/0", "redis://:" + secret + "@[::1", "http://:" + secret + "@host",
		"redis://:" + secret + "@host:6379/x", "redis://:" + secret + "@host?nonsense=1", "%zz:" + secret, "",
	} {
		_, err := Open(Options{URL: text})
		if err == nil || strings.Contains(err.Error(), secret) || !app.IsKind(err, app.KindInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
	addr := storetest.Redis(t)
	admin := open(t, Options{URL: "redis://" + addr})
	if err := admin.db.ConfigSet(t.Context(), "requirepass", secret).Err(); err != nil {
		t.Fatal(err)
	}
	open(t, Options{URL: "redis://:" + secret + "@" + addr})
	wrong, err := Open(Options{URL: "redis://:" + secret + "x@" + addr})
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if _, err := wrong.Ping(t.Context()); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a wrong password: %v", err)
	}
}

// A Redis that accepts and says nothing must not hold a caller beyond its deadline.
func TestHungRedisHonoursTheDeadline(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := Open(Options{URL: "redis://" + listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := c.RunScript(ctx, "return {1}", [][]string{{}}, [][]any{{}}); !app.IsKind(err, app.KindUnavailable) {
		t.Errorf("a hung Redis: %v", err)
	}
	if took := time.Since(begun); took >= callTimeout {
		t.Errorf("the caller's deadline was not honoured: %s", took)
	}
}

func TestTLSWithPassword(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	server := miniredis.NewMiniRedis()
	server.RequireAuth("hunter2")
	if err := server.StartTLS(&tls.Config{Certificates: web.TLS.Certificates}); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	open(t, Options{URL: "rediss://:hunter2@" + server.Addr() + "?skip_verify=true"})
	unknown, err := Open(Options{URL: "rediss://:hunter2@" + server.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer unknown.Close()
	if _, err := unknown.Ping(t.Context()); err == nil {
		t.Error("an unknown certificate was accepted")
	}
}
