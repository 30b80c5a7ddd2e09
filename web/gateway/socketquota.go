package gateway

import (
	"context"
	"time"

	"gatehouse/app"
	"gatehouse/app/quota"
)

// socketAhead is how far ahead the seconds of an open WebSocket are reserved,
// where a hard quota stops them, and how often.
const socketAhead = 10 * time.Second

// socketPatience is how often in a row the next seconds may fail to be reserved
// for another reason than the quota, until the connection is cut.
const socketPatience = 3

// socketQuota is the quota of a WebSocket's seconds. All of a connection's
// seconds belong to the period in which it began, as its other usage does.
type socketQuota struct {
	x    *exchange
	line *quota.Line // nil: nothing stops them
	hard bool

	holds []*quota.Hold // each of socketAhead; the first stands in the intent
	stop  context.CancelFunc
	end   context.CancelFunc // of the request: the tunnel is cut
	done  chan struct{}
}

// reserveSocket reserves a WebSocket's first seconds.
func (x *exchange) reserveSocket(ctx context.Context) error {
	s := &socketQuota{x: x, line: x.admission.sockets,
		hard: x.admission.state.capped(x.credential.key.ID, app.MeterSocketSeconds)}
	if s.line != nil {
		if err := s.reserve(ctx); err != nil {
			return err
		}
	}
	inside, end := context.WithCancel(x.r.Context())
	x.r, x.seconds, s.end = x.r.WithContext(inside), s, end
	return nil
}

// reserve reserves the next seconds; of a soft quota none, which counts them
// at the end.
func (s *socketQuota) reserve(ctx context.Context) error {
	hold, seconds := &quota.Hold{}, int64(0)
	if s.hard {
		seconds = int64(socketAhead / time.Second)
	}
	err := s.line.Reserve(ctx, s.x.start, hold, quota.Need{Meter: app.MeterSocketSeconds, Amount: seconds})
	if err == nil {
		s.holds = append(s.holds, hold)
	}
	return err
}

// intent adds the first seconds as the worst case.
func (s *socketQuota) intent(in app.Intent) app.Intent {
	if s.line == nil {
		return in
	}
	in.Draws = s.holds[0].Draws(in.Draws)
	if s.hard {
		in.Hold = append(in.Hold, app.Use{Meter: app.MeterSocketSeconds, Value: int64(socketAhead / time.Second)})
	}
	return in
}

// run tops the seconds up while the tunnel lives, and cuts it when the quota
// is used up.
func (s *socketQuota) run() {
	if s.line == nil || !s.hard {
		return
	}
	ctx, stop := context.WithCancel(s.x.r.Context())
	s.stop, s.done = stop, make(chan struct{})
	tick, cease := s.x.g.ticker(socketAhead - socketAhead/10) // a little early: the next seconds are there before they begin
	go func() {
		defer close(s.done)
		defer cease()
		for failed := 0; ; {
			select {
			case <-tick:
			case <-ctx.Done():
				return
			}
			err := s.reserve(ctx)
			if err == nil {
				failed = 0
				continue
			}
			if failed++; app.IsKind(err, app.KindPayment) || failed == socketPatience {
				s.end()
				return
			}
		}
	}()
}

// settle adds the seconds to the outcome: each begun one counts.
func (s *socketQuota) settle(out app.Outcome, lasted time.Duration) app.Outcome {
	defer s.end()
	if s.stop != nil {
		s.stop()
		<-s.done
	}
	seconds := int64((lasted + time.Second - 1) / time.Second)
	if seconds > 0 {
		out.Uses = append(out.Uses, app.Use{Meter: app.MeterSocketSeconds, Value: seconds})
	}
	for i, hold := range s.holds {
		part := seconds
		if i < len(s.holds)-1 { // the last takes what is left
			part = min(seconds, int64(socketAhead/time.Second))
		}
		if i > 0 { // it stands in no intent
			out.Draws = hold.Draws(out.Draws)
		}
		out.Draws = hold.Settle(out.Draws, quota.Need{Meter: app.MeterSocketSeconds, Amount: part})
		seconds -= part
	}
	return out
}

// release gives back what was reserved for a WebSocket that was not counted.
func (s *socketQuota) release() {
	defer s.end()
	for _, hold := range s.holds {
		hold.Release(nil)
	}
}

// every is the ticker of a gate on which no test has put its own.
func every(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d)
	return t.C, t.Stop
}
