package redis

import (
	"context"
	"errors"
	"strconv"

	goredis "github.com/redis/go-redis/v9"
)

// Count answers how many hits a counter has had in its window, without adding
// one; 0 when there is none.
func (c *Client) Count(ctx context.Context, key string) (int64, error) {
	text, err := c.db.Get(ctx, key).Result()
	if errors.Is(err, goredis.Nil) {
		return 0, nil
	}
	if err != nil {
		return 0, away(err)
	}
	return strconv.ParseInt(text, 10, 64)
}
