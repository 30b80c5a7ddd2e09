package auth

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	embedredis "gatehouse/embed/redis"
	"gatehouse/store/redis"
	"gatehouse/store/storetest"
)

// broken is a Redis that went away.
type broken struct{}

func (broken) Incr(context.Context, string, time.Duration) (int64, error) {
	return 0, errors.New("away")
}

func (broken) Count(context.Context, string) (int64, error) { return 0, errors.New("away") }

func TestGuessesAreCountedWithoutRedis(t *testing.T) {
	w := sqliteWorld(t)
	w.claimed(t)
	w.guard.shared = broken{}
	for range 5 {
		if _, err := w.SignIn(t.Context(), Attempt{"mara@example.com", "wrong", client(home)}); code(err) != "sign_in_failed" {
			t.Fatal(err)
		}
	}
	if _, err := w.SignIn(t.Context(), Attempt{"mara@example.com", password, client(home)}); code(err) != "sign_in_limited" {
		t.Fatal(err)
	}
}

// Two replicas share their counts through Redis.
func TestGuessesAreCountedOverReplicas(t *testing.T) {
	servers := map[string]func(t *testing.T) redis.Options{
		"miniredis": func(t *testing.T) redis.Options {
			server, err := embedredis.Start()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close() })
			return redis.Options{Dial: server.Dial}
		},
		"Redis": func(t *testing.T) redis.Options { return redis.Options{URL: "redis://" + storetest.Redis(t)} },
	}
	for name, options := range servers {
		t.Run(name, func(t *testing.T) {
			shared, err := redis.Open(options(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { shared.Close() })
			first, second := sqliteWorld(t), sqliteWorld(t)
			first.claimed(t)
			for _, w := range []*world{first, second} {
				w.guard.shared = shared
			}
			var all sync.WaitGroup
			results := make(chan string, 20)
			for n := range cap(results) {
				w := []*world{first, second}[n%2]
				all.Go(func() {
					_, err := w.SignIn(t.Context(), Attempt{"mara@example.com", "wrong", client(home)})
					results <- code(err)
				})
			}
			all.Wait()
			close(results)
			tally := map[string]int{}
			for result := range results {
				tally[result]++
			}
			if tally["sign_in_failed"]+tally["sign_in_busy"] > 5 || tally["sign_in_limited"] < 15 {
				t.Fatalf("%v", tally)
			}
			if n, err := shared.Count(t.Context(), "auth:address:"+home); err != nil || n == 0 {
				t.Fatalf("count %d, %v", n, err)
			}
			if n, err := shared.Count(t.Context(), "auth:address:none"); err != nil || n != 0 {
				t.Fatalf("count %d, %v", n, err)
			}
		})
	}
}
