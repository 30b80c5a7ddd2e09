package limit

import (
	"context"
	"sync/atomic"
	"testing"

	embedded "gatehouse/embed/redis"
	"gatehouse/store/redis"
	"gatehouse/store/storetest"
)

// miniRedis answers a client of the Redis inside the process.
func miniRedis(t testing.TB) *redis.Client {
	t.Helper()
	server, err := embedded.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client(t, redis.Options{Dial: server.Dial})
}

// realRedis answers a client of a Redis server of the test's own.
func realRedis(t testing.TB) *redis.Client {
	t.Helper()
	return client(t, redis.Options{URL: "redis://" + storetest.Redis(t)})
}

func client(t testing.TB, o redis.Options) *redis.Client {
	t.Helper()
	c, err := redis.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var replicaNumber atomic.Int64

// share joins a replica; its timeout is long, because a test machine is slow.
func share(t testing.TB, scripts Scripts, change ...func(*SharedOptions)) *Shared {
	t.Helper()
	o := SharedOptions{Scripts: scripts, Replica: "replica-" + string(rune('a'+replicaNumber.Add(1)%26)), Timeout: 10e9}
	for _, fn := range change {
		fn(&o)
	}
	s := NewShared(t.Context(), o)
	t.Cleanup(func() { s.Close(context.WithoutCancel(t.Context())) })
	return s
}

// eachAuthority runs the test on every authority. join adds a replica; Local
// has only one, so that there join answers the same again.
func eachAuthority(t *testing.T, test func(t *testing.T, join func() Authority)) {
	t.Run("local", func(t *testing.T) {
		l := NewLocal(nil)
		t.Cleanup(func() { l.Close(context.Background()) })
		test(t, func() Authority { return l })
	})
	t.Run("miniredis", func(t *testing.T) {
		scripts := miniRedis(t)
		test(t, func() Authority { return share(t, scripts) })
	})
	t.Run("Redis", func(t *testing.T) {
		scripts := realRedis(t)
		test(t, func() Authority { return share(t, scripts) })
	})
}

func TestMain(m *testing.M) { storetest.Main(m) }
