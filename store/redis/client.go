// Package redis is the one client for Redis and for the miniredis inside the
// process: scripts, counters, locks and notices. What it holds is shared
// between replicas and may be lost; what may not be lost is in package store.
package redis

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"gatehouse/app"
)

// Dial opens a connection in another way than by network: to the miniredis
// inside the process (embed/redis).
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Options say where Redis is.
type Options struct {
	// URL is redis://user:password@host:6379/0, rediss://… for TLS, or
	// unix:///path. The parameters of go-redis' ParseURL are understood.
	URL  string
	Dial Dial // instead of URL
}

// Timeouts. A caller's deadline comes first where it is shorter.
const (
	dialTimeout = 2 * time.Second
	callTimeout = 3 * time.Second
)

// Client is safe for concurrent use. A call that fails is not repeated: a
// script may have run although its answer was lost.
type Client struct {
	db *goredis.Client

	mu      sync.Mutex
	scripts map[string]string // by source, their SHA-1
}

// Open prepares a client. It does not wait for Redis, which may be away now
// and come back later; Ping tells. It fails when the URL is not valid.
func Open(o Options) (*Client, error) {
	settings, err := o.settings()
	if err != nil {
		return nil, err
	}
	// The library writes to standard error by itself; here every error is returned.
	goredis.SetLogger(silence{})
	return &Client{db: goredis.NewClient(settings), scripts: map[string]string{}}, nil
}

// settings reads the URL. Errors never quote it, since it may hold a password.
func (o Options) settings() (*goredis.Options, error) {
	settings := &goredis.Options{Addr: "in-process"}
	if o.Dial == nil {
		var err error
		if settings, err = goredis.ParseURL(o.URL); err != nil {
			return nil, invalidURL(o.URL, err)
		}
	} else {
		settings.Dialer = o.Dial
	}
	settings.ContextTimeoutEnabled = true
	settings.MaxRetries = -1
	settings.DialerRetries = 1
	settings.DisableIdentity = true
	settings.MaintNotificationsConfig = noMaintenance()
	settings.DialTimeout = orElse(settings.DialTimeout, dialTimeout)
	settings.ReadTimeout = orElse(settings.ReadTimeout, callTimeout)
	settings.WriteTimeout = orElse(settings.WriteTimeout, callTimeout)
	return settings, nil
}

func orElse(value, fallback time.Duration) time.Duration {
	if value == 0 {
		return fallback
	}
	return value
}

// invalidURL says what is wrong with a URL without repeating it.
func invalidURL(text string, err error) error {
	reason := "must look like redis://user:password@host:6379/0, or rediss:// for TLS"
	if _, bad := errors.AsType[*url.Error](err); !bad && text != "" {
		reason += " (" + err.Error() + ")"
	}
	return app.Invalid("redis.url", "%s", reason)
}

// silence is the library's logger that says nothing.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Ping asks Redis for an answer and tells how long it took. A failure is an
// *app.Error that says what to do.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	if err := c.db.Ping(ctx).Err(); err != nil {
		return 0, away(err)
	}
	return time.Since(begun), nil
}

// Stats is the state of the client's connections.
type Stats struct {
	Connections int64 `json:"connections"` // open
	Idle        int64 `json:"idle"`        // open and free
	Timeouts    int64 `json:"timeouts"`    // waits for a free connection that were too long
	Stale       int64 `json:"stale"`       // connections found broken
}

// Stats tells the state of the connections.
func (c *Client) Stats() Stats {
	p := c.db.PoolStats()
	return Stats{Connections: int64(p.TotalConns), Idle: int64(p.IdleConns),
		Timeouts: int64(p.Timeouts), Stale: int64(p.StaleConns)}
}

// Close closes the connections.
func (c *Client) Close() error { return c.db.Close() }

// away gives an error of Redis the kind that its caller can act on.
func away(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return &app.Error{Kind: app.KindCancelled, Code: "cancelled", Message: "The request was cancelled.", Err: err}
	}
	return &app.Error{Kind: app.KindUnavailable, Code: "redis_unavailable", Message: "Redis did not answer.",
		Advice: "Check that Redis runs and that its address and password are right.", RetryAfter: time.Second, Err: err}
}
