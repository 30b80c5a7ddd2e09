package token

import (
	"slices"
	"time"

	"gatehouse/app"
)

// Defaults of rotation.
const (
	DefaultRotateEvery = 30 * 24 * time.Hour // a key signs for this long
	DefaultPublishFor  = 24 * time.Hour      // the next key is published at least this long before it signs
)

// retireMargin is how much longer than its last token a key stays published:
// for replicas that hear late of a rotation, and for clocks that differ.
const retireMargin = 10 * time.Minute

// rotation is the rule by which signing keys follow each other. It is pure:
// the same keys at the same time give the same plan on every replica.
type rotation struct {
	algorithm  string
	every      time.Duration
	publishFor time.Duration
	longest    time.Duration // the longest life of a token
}

// plan answers the keys as they should be now. A next key always stands
// ready, so that rotation never has to wait for its publication. When a key is
// missing, plan takes fresh; with fresh nil it answers wanted instead, and the
// caller comes back with one.
func (r rotation) plan(keys []app.SigningKey, fresh *app.SigningKey, now time.Time) (planned []app.SigningKey, wanted bool) {
	planned = slices.DeleteFunc(slices.Clone(keys), func(k app.SigningKey) bool {
		gone := k.State == app.SigningStateRetiring && !now.Before(k.GoneAt)
		// The algorithm was changed: a key that signed nothing can just go.
		useless := k.State == app.SigningStateNext && k.Algorithm != r.algorithm
		return gone || useless
	})
	if r.due(planned, now) {
		r.promote(planned, now)
	}
	for _, state := range []app.SigningState{app.SigningStateCurrent, app.SigningStateNext} {
		if find(planned, state) >= 0 {
			continue
		}
		if fresh == nil {
			return planned, true
		}
		added := *fresh
		added.State, added.CreatedAt = state, now
		if state == app.SigningStateCurrent {
			added.ActiveAt = now
		}
		planned, fresh = append(planned, added), nil
	}
	return planned, false
}

// due reports whether the next key should take over: its time has come, or
// the current one has the wrong algorithm, and verifiers have had time to see it.
func (r rotation) due(keys []app.SigningKey, now time.Time) bool {
	next, current := find(keys, app.SigningStateNext), find(keys, app.SigningStateCurrent)
	if next < 0 {
		return false
	}
	if current < 0 {
		return true
	}
	old := keys[current].Algorithm != r.algorithm || !now.Before(keys[current].ActiveAt.Add(r.every))
	return old && !now.Before(keys[next].CreatedAt.Add(r.publishFor))
}

func (r rotation) promote(keys []app.SigningKey, now time.Time) {
	if i := find(keys, app.SigningStateCurrent); i >= 0 {
		keys[i].State, keys[i].RetiredAt = app.SigningStateRetiring, now
		keys[i].GoneAt = now.Add(r.longest + retireMargin)
	}
	i := find(keys, app.SigningStateNext)
	keys[i].State, keys[i].ActiveAt = app.SigningStateCurrent, now
}

// find answers the index of the key in the state, or -1.
func find(keys []app.SigningKey, state app.SigningState) int {
	return slices.IndexFunc(keys, func(k app.SigningKey) bool { return k.State == state })
}
