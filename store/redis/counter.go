package redis

import (
	"context"
	"time"
)

// incrScript sets the window at the first hit alone: a window that each hit
// renews never ends under a steady attack, and a counter and its expiry set by
// two commands may lose the second.
const incrScript = `
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {n}`

// Incr counts a hit and answers how many there were in the window, this one
// included. The window begins with its first hit and is not renewed.
func (c *Client) Incr(ctx context.Context, key string, window time.Duration) (int64, error) {
	answers, err := c.RunScript(ctx, incrScript, [][]string{{key}}, [][]any{{max(window.Milliseconds(), 1)}})
	if err != nil {
		return 0, err
	}
	return answers[0][0], nil
}

// Forget drops a counter, such as that of failed sign-ins after a good one.
func (c *Client) Forget(ctx context.Context, key string) error {
	return away(c.db.Del(ctx, key).Err())
}
