package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

// RunScript runs a Lua script once for each element of keys and args, in one
// round trip (two when Redis does not know the script yet), and answers the
// integers that each run returned. With an error the answers of the runs that
// failed are nil; the error is that of the first.
func (c *Client) RunScript(ctx context.Context, source string, keys [][]string, args [][]any) ([][]int64, error) {
	answers := make([][]int64, len(keys))
	all := make([]int, len(keys))
	for i := range all {
		all[i] = i
	}
	unknown, err := c.run(ctx, source, keys, args, all, answers)
	if len(unknown) == 0 {
		return answers, away(err)
	}
	// A run that met an unknown script has done nothing, so it may run again.
	if err := c.db.ScriptLoad(ctx, source).Err(); err != nil {
		return answers, away(err)
	}
	unknown, again := c.run(ctx, source, keys, args, unknown, answers)
	if err == nil && again == nil && len(unknown) > 0 {
		again = fmt.Errorf("redis forgets scripts at once")
	}
	if err == nil {
		err = again
	}
	return answers, away(err)
}

// run runs the script for the chosen elements, and answers which of them met
// an unknown script.
func (c *Client) run(ctx context.Context, source string, keys [][]string, args [][]any, chosen []int, answers [][]int64) (unknown []int, err error) {
	pipe, sha := c.db.Pipeline(), c.sha(source)
	commands := make([]*goredis.Cmd, len(chosen))
	for i, at := range chosen {
		commands[i] = pipe.EvalSha(ctx, sha, keys[at], args[at]...)
	}
	_, _ = pipe.Exec(ctx) // each command holds its own error
	for i, at := range chosen {
		value, failed := commands[i].Slice()
		switch {
		case goredis.HasErrorPrefix(failed, "NOSCRIPT"):
			unknown = append(unknown, at)
			continue
		case failed == nil:
			answers[at], failed = integers(value)
		}
		if err == nil {
			err = failed
		}
	}
	return unknown, err
}

func integers(values []any) ([]int64, error) {
	list := make([]int64, len(values))
	for i, value := range values {
		n, ok := value.(int64)
		if !ok {
			return nil, fmt.Errorf("the script answered a %T", value)
		}
		list[i] = n
	}
	return list, nil
}

// sha answers the name under which Redis knows a script.
func (c *Client) sha(source string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, ok := c.scripts[source]
	if !ok {
		sum := sha1.Sum([]byte(source)) // Redis names scripts so
		name = hex.EncodeToString(sum[:])
		c.scripts[source] = name
	}
	return name
}
