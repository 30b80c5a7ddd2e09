package limit

import (
	"context"
	_ "embed"
	"time"
)

//go:embed presence.lua
var presenceScript string

const (
	beatEvery  = time.Second            // how often a replica says that it is alive
	beatLife   = 5 * time.Second        // after which a silent replica is not counted
	probeEvery = 250 * time.Millisecond // how often Redis is tried while it is away
)

// live says that this replica is alive until the context ends, and notices
// when Redis is back.
func (s *Shared) live(ctx context.Context) {
	timer := time.NewTimer(beatEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			s.beat(ctx)
		}
		if s.loss.Lost() {
			timer.Reset(probeEvery)
		} else {
			timer.Reset(beatEvery)
		}
	}
}

// beat says once that this replica is alive and counts the others.
func (s *Shared) beat(ctx context.Context) {
	n, err := s.present(ctx, beatLife)
	switch {
	case err == nil:
		s.replicas.Store(max(n, 1))
		s.loss.up()
	case ctx.Err() == nil:
		s.loss.down(err)
	}
}

// leave says that this replica is gone.
func (s *Shared) leave(ctx context.Context) error {
	_, err := s.present(ctx, 0)
	return err
}

func (s *Shared) present(ctx context.Context, life time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	answers, err := s.options.Scripts.RunScript(ctx, presenceScript,
		[][]string{{s.options.Prefix + "replicas"}}, [][]any{{s.options.Replica, life.Milliseconds()}})
	if err != nil {
		return 0, err
	}
	return answers[0][0], nil
}
