package redis

import (
	"context"
	"crypto/rand"
	"time"
)

// Lock is a lock that this process holds until it unlocks it or it expires.
// It keeps two replicas from doing the same work twice; it does not make the
// work safe, because a process may stand still beyond the expiry.
type Lock struct {
	client *Client
	key    string
	token  string
}

// Lock takes the lock if it is free; nil when someone else holds it.
func (c *Client) Lock(ctx context.Context, key string, life time.Duration) (*Lock, error) {
	l := &Lock{client: c, key: key, token: rand.Text()}
	answers, err := c.RunScript(ctx, lockScript, [][]string{{key}}, [][]any{{l.token, life.Milliseconds()}})
	if err != nil || answers[0][0] == 0 {
		return nil, err
	}
	return l, nil
}

// Extend sets the expiry anew; false when the lock is no longer held.
func (l *Lock) Extend(ctx context.Context, life time.Duration) (bool, error) {
	answers, err := l.client.RunScript(ctx, extendScript, [][]string{{l.key}}, [][]any{{l.token, life.Milliseconds()}})
	return err == nil && answers[0][0] == 1, err
}

// Unlock frees the lock if it is still held: another's is never freed.
func (l *Lock) Unlock(ctx context.Context) error {
	_, err := l.client.RunScript(ctx, unlockScript, [][]string{{l.key}}, [][]any{{l.token}})
	return err
}

const (
	lockScript = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return {1} end
return {0}`
	extendScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end
return {redis.call('PEXPIRE', KEYS[1], ARGV[2])}`
	unlockScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end
return {redis.call('DEL', KEYS[1])}`
)
