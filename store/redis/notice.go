package redis

import (
	"context"
	"errors"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	retryEvery = 250 * time.Millisecond // the pause before a broken subscription is tried again
	quietLimit = 15 * time.Second       // a silent connection is asked whether it lives
)

// Publish tells all subscribers of the channel. Nobody keeps what was told:
// who was not listening has missed it.
func (c *Client) Publish(ctx context.Context, channel, message string) error {
	return away(c.db.Publish(ctx, channel, message).Err())
}

// Subscribe calls hear for each message on the channel, until the context
// ends. It calls listening at the beginning and after each interruption: what
// was told before that is missed, so listening should look at the state
// itself. Both are called from one goroutine and should be quick.
func (c *Client) Subscribe(ctx context.Context, channel string, listening func(), hear func(message string)) {
	for ctx.Err() == nil {
		c.listen(ctx, channel, listening, hear)
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

// listen serves one subscription until it breaks.
func (c *Client) listen(ctx context.Context, channel string, listening func(), hear func(message string)) {
	subscription := c.db.Subscribe(ctx, channel)
	defer subscription.Close()
	stop := context.AfterFunc(ctx, func() { subscription.Close() })
	defer stop()
	asked := false
	for {
		received, err := subscription.ReceiveTimeout(ctx, quietLimit)
		if quiet, ok := errors.AsType[net.Error](err); ok && quiet.Timeout() && !asked {
			asked = true // the answer is received like a message
			err = subscription.Ping(ctx)
		} else if err == nil {
			asked = false
		}
		if err != nil {
			return
		}
		switch told := received.(type) {
		case *goredis.Subscription:
			listening()
		case *goredis.Message:
			hear(told.Payload)
		}
	}
}
