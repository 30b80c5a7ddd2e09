package limit

import (
	"log/slog"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// loss is the state of having lost the shared authority. Once lost, requests
// do not wait for it: they are decided by the limits' on_loss, until a
// heartbeat finds it back.
type loss struct {
	what    string // what depends on it, for the log
	now     func() time.Time
	log     *slog.Logger
	since   atomic.Int64 // Unix nanoseconds; 0 while all is well
	passed  atomic.Int64
	refused atomic.Int64
}

// Lost reports whether the authority is away.
func (l *loss) Lost() bool { return l.since.Load() != 0 }

// Since is when it was lost; zero while all is well.
func (l *loss) Since() time.Time {
	if ns := l.since.Load(); ns != 0 {
		return time.Unix(0, ns).UTC()
	}
	return time.Time{}
}

// down notes that the authority did not answer.
func (l *loss) down(err error) {
	if l.since.CompareAndSwap(0, l.now().UnixNano()) {
		l.log.Warn("redis is away", "without", l.what, "error", err)
	}
}

// up notes that it answers.
func (l *loss) up() {
	if since := l.since.Swap(0); since != 0 {
		l.log.Info("redis is back", "with", l.what, "away", l.now().Sub(time.Unix(0, since)),
			"passed", l.passed.Load(), "refused", l.refused.Load())
	}
}

// lostRetry is the wait that a refusal by on_loss closed names.
const lostRetry = time.Second

// decideAlone answers for cells whose authority is away: the request passes unless
// one of the limits is to refuse then.
func (s *Shared) decideAlone(a *attempt, cells []*Cell) Decision {
	for _, c := range cells {
		r := c.rule.Load()
		mode := r.limit.OnLoss
		if mode == "" {
			mode = s.options.OnLoss
		}
		if mode == app.FailClosed && !r.dryRun {
			a.putBack()
			s.loss.refused.Add(1)
			return Decision{Units: a.units, Degraded: true, Refused: c, RetryAfter: lostRetry, Err: &app.Error{
				Kind: app.KindUnavailable, Code: "rate_limit_unavailable", RetryAfter: lostRetry,
				Message: "The rate limit \"" + r.limit.Name + "\" cannot be checked at the moment.",
				Advice:  "Try again in a moment."}}
		}
	}
	s.loss.passed.Add(1)
	d := a.pass(nil)
	d.Degraded = true
	return d
}
