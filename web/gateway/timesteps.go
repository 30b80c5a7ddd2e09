package gateway

import (
	"context"
	"time"

	"gatehouse/app"
	"gatehouse/app/quota"
)

// Steps in which time is reserved ahead, where a hard quota stops it: the
// second as long as the first, then longer ones, which cost less.
const (
	firstTime = 10 * time.Second
	mostTime  = time.Minute
	// timeAhead is how long before the reserved time is used up the next is
	// asked for: a database that is away for less ends nothing.
	timeAhead = 5 * time.Second
	// leastTime is the shortest step of a request; of a WebSocket it is a second.
	leastTime = 100 * time.Millisecond
	// timeAgain is when to ask again for what could not be told.
	timeAgain = time.Second
)

// timeSteps is a hard quota of time: of a request, or of a WebSocket's seconds.
// All of it belongs to the period in which the request began. What lasts when
// no more is left is ended.
type timeSteps struct {
	steps
	unit  time.Duration
	ahead time.Duration
	next  time.Duration
	began time.Time
	stop  context.CancelFunc
	done  chan struct{}
}

func newTimeSteps(x *exchange, meter string, line *quota.Line) *timeSteps {
	t := &timeSteps{steps: steps{x: x, meter: meter, line: line}, unit: time.Millisecond, ahead: timeAhead, next: firstTime}
	first, least := firstTime, leastTime
	switch bound := x.route.bound; {
	case meter == app.MeterSocketSeconds:
		t.unit, least = time.Second, time.Second
	case bound > 0: // the operator said how long it may take
		first, least = bound, bound
		t.ahead = min(timeAhead, bound/2)
	}
	t.first, t.least = int64(first/t.unit), int64(least/t.unit)
	t.outcome = t.tell
	x.restrain()
	return t
}

// tell is the outcome of a step.
func (t *timeSteps) tell(share int64) app.Outcome {
	if t.meter == app.MeterDuration {
		return app.Outcome{Duration: time.Duration(share) * t.unit}
	}
	return app.Outcome{Uses: []app.Use{{Meter: t.meter, Value: share}}}
}

// run reserves further time while there is use for it; began is when the time
// began to run.
func (t *timeSteps) run(began time.Time) {
	ctx, stop := context.WithCancel(t.x.r.Context())
	t.began, t.stop, t.done = began, stop, make(chan struct{})
	go func() {
		defer close(t.done)
		if err := t.keep(ctx); err != nil {
			t.x.leash.pull(err)
		}
	}()
}

// keep returns why no more time can be had, when there is none left.
func (t *timeSteps) keep(ctx context.Context) error {
	var refusal error
	for {
		wait := t.left() - t.ahead
		switch {
		case app.IsKind(refusal, app.KindPayment):
			wait = t.left()
		case refusal != nil:
			wait = min(timeAgain, t.left())
		}
		if !t.x.g.pause(ctx, wait) {
			return nil
		}
		t.settleUsed(int64(time.Since(t.began) / t.unit))
		last, err := refusal, t.grow(ctx, max(1, int64(leastTime/t.unit)), int64(t.next/t.unit))
		if refusal = err; err == nil {
			t.next = min(2*t.next, mostTime)
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if t.left() <= 0 || app.IsKind(err, app.KindPayment) && app.IsKind(last, app.KindPayment) {
			return err
		}
	}
}

// left is how long the reserved time still lasts.
func (t *timeSteps) left() time.Duration {
	return time.Duration(t.reserved)*t.unit - time.Since(t.began)
}

// settle settles the steps, and returns what is the first one's. Time beyond
// what was reserved is nobody's: the gate was late to end it.
func (t *timeSteps) settle(used int64) (own int64) {
	if t.stop != nil {
		t.stop()
		<-t.done
	}
	return t.steps.settle(min(used, t.reserved))
}

func (t *timeSteps) settleDuration(out app.Outcome) app.Outcome {
	whole := out.Duration.Milliseconds()
	if own := t.settle(whole); own != whole {
		out.Duration = time.Duration(own) * time.Millisecond
	}
	return out
}

// socketSeconds is what a WebSocket's time counts: each second that was begun.
func socketSeconds(lasted time.Duration) int64 {
	return int64((lasted + time.Second - 1) / time.Second)
}

// pause waits, unless the context ends before.
func (g *Gateway) pause(ctx context.Context, wait time.Duration) bool {
	tick, cease := g.ticker(max(wait, time.Millisecond))
	defer cease()
	select {
	case <-tick:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// every is the ticker of a gate on which no test has put its own.
func every(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d)
	return t.C, t.Stop
}
