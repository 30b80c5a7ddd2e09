package quota

import (
	"context"
	"fmt"

	"gatehouse/app"
)

// suspend stops the organization whose quota passed the last step of the
// ladder, unless a notice says that somebody did: an operator may have resumed
// it since. It is not due while what was used before the limit was lowered is
// what passes it: nobody is suspended for a smaller plan.
func (e *Engine) suspend(ctx context.Context, a app.AccountState, q app.Quota, percent, base int64) (due bool, err error) {
	notices, err := e.o.Store.AccountNotices(ctx, a.Account)
	if err != nil {
		return false, err
	}
	for _, n := range notices {
		if n.Threshold == percent {
			return true, nil
		}
		if n.Limit != q.Limit {
			base = max(base, n.Used)
		}
	}
	used := a.Used()
	if reached(base, q.Limit, percent) {
		used -= base - q.Limit // what was used by then is taken for the limit
	}
	if !reached(used, q.Limit, percent) {
		return false, nil
	}
	if e.o.Suspender == nil {
		return true, nil
	}
	reason := fmt.Sprintf("Used %s of the quota of %s %s: %d %% or more.",
		amount(a.Meter, a.Used()), amount(a.Meter, q.Limit), perPeriod(a.Period), percent)
	_, err = e.o.Suspender.Suspend(ctx, app.Actor{Kind: app.ActorSystem, ID: "quota"}, string(a.Org), reason)
	if app.IsKind(err, app.KindNotFound) || app.IsKind(err, app.KindConflict) { // deleted, or stopped already
		err = nil
	}
	return err == nil, err
}
