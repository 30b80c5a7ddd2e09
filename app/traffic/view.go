package traffic

import (
	"context"
	"sync"
	"time"
)

// View hands out snapshots, made at most once a second (long ranges: once in
// ten) however many people look.
type View struct {
	Recorder *Recorder
	Past     *History

	mu   sync.Mutex
	made map[Range]*Snapshot
}

// Snapshot returns the newest snapshot of the range. The caller must not
// change it.
func (v *View) Snapshot(ctx context.Context, rng Range) (*Snapshot, error) {
	switch rng {
	case Range15m, Range24h, Range30d:
	default:
		rng = Range1h
	}
	fresh := time.Second
	if !rng.live() {
		fresh = 10 * time.Second
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if made := v.made[rng]; made != nil && v.Recorder.Now().Sub(made.At) < fresh {
		return made, nil
	}
	made, err := v.Recorder.Snapshot(ctx, rng, v.Past)
	if err != nil {
		return nil, err
	}
	if v.made == nil {
		v.made = map[Range]*Snapshot{}
	}
	v.made[rng] = made
	return made, nil
}
