package quota

import (
	"context"
	"fmt"
	"time"

	"gatehouse/app"
)

// EventDraws appends the draws of an event's quantity, which happened already:
// no lease covers them, and no limit stops them. An organization that is not
// found has no quotas. It fails when quotas cannot be read: the event must not
// be counted, for nothing would ever be held against them.
func (e *Engine) EventDraws(ctx context.Context, id app.OrgID, key app.KeyID, meter string, at time.Time, amount int64, dst []app.Draw) ([]app.Draw, error) {
	if e.o.Books == nil || amount == 0 {
		return dst, nil
	}
	book, err := e.o.Books(ctx, id)
	if app.IsKind(err, app.KindNotFound) {
		return dst, nil
	}
	if err != nil {
		return dst, fmt.Errorf("read the quotas of %s: %w", id, err)
	}
	line := book.Line(key, meter)
	if line == nil {
		return dst, nil
	}
	balances, err := e.open(ctx, line, at.UnixMilli())
	if err != nil { // the account is opened later, by whoever asks next
		e.o.Log.Warn("a quota's account was not opened for an event", "org", id, "meter", meter, "err", err)
	}
	for _, b := range balances {
		dst = append(dst, app.Draw{Account: &b.Account, Spent: amount})
	}
	return dst, nil
}

// open finds the line's balances at the time, and opens accounts that are new.
func (e *Engine) open(ctx context.Context, l *Line, ms int64) (balances []*balance, err error) {
	o := l.book.org
	var (
		claims []app.QuotaClaim
		closed []*balance
	)
	look := func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		balances, claims, closed = nil, nil, nil
		for i := range l.slots {
			b := l.slots[i].at(ms)
			balances = append(balances, b)
			if !b.opened {
				claims, closed = append(claims, app.QuotaClaim{Account: &b.Account, Ceiling: l.slots[i].ceiling}), append(closed, b)
			}
		}
	}
	if look(); len(claims) == 0 {
		return balances, nil
	}
	select {
	case o.slow <- struct{}{}:
	case <-ctx.Done():
		return balances, ctx.Err()
	}
	defer func() { <-o.slow }()
	if look(); len(claims) == 0 {
		return balances, nil
	}
	return balances, e.lend(ctx, o, claims, closed)
}
