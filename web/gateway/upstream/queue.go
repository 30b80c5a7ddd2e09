package upstream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// queue counts the requests inside a pool and holds those that wait for a
// connection. Without MaxConnections nobody waits and nothing here locks.
type queue struct {
	active  atomic.Int64
	waiting atomic.Int64
	closed  atomic.Bool

	mu      sync.Mutex
	waiters []chan struct{}
	drained []chan struct{}
}

// enter counts a request in; it is false once the pool is closed.
func (q *queue) enter() bool {
	q.active.Add(1)
	if q.closed.Load() {
		q.leave()
		return false
	}
	return true
}

func (q *queue) leave() {
	if q.active.Add(-1) > 0 || !q.closed.Load() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, done := range q.drained {
		close(done)
	}
	q.drained = nil
}

// close lets nobody in any more and sends the waiting away.
func (q *queue) close() {
	q.closed.Store(true)
	q.wake()
}

// drain waits until the last request has left.
func (q *queue) drain(ctx context.Context) error {
	done := make(chan struct{})
	q.mu.Lock()
	if q.active.Load() == 0 {
		q.mu.Unlock()
		return nil
	}
	q.drained = append(q.drained, done)
	q.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// freed tells one waiter that a connection came free.
func (q *queue) freed() {
	if q.waiting.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiters) > 0 {
		close(q.waiters[0])
		q.waiters = q.waiters[1:]
	}
}

// wake tells all waiters to look again.
func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, waiter := range q.waiters {
		close(waiter)
	}
	q.waiters = nil
}

// await calls try until it is satisfied, ctx ends or the patience is over. It
// registers before it tries, so that no freed connection is missed.
func (q *queue) await(ctx context.Context, patience time.Duration, try func() bool) bool {
	q.waiting.Add(1)
	defer q.waiting.Add(-1)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		turn := make(chan struct{})
		q.mu.Lock()
		q.waiters = append(q.waiters, turn)
		q.mu.Unlock()
		if q.closed.Load() || try() {
			q.forget(turn)
			return !q.closed.Load()
		}
		select {
		case <-turn:
		case <-timer.C:
			q.forget(turn)
			return false
		case <-ctx.Done():
			q.forget(turn)
			return false
		}
	}
}

// forget takes a waiter out of the line. One that was called already and does
// not need its turn passes it on.
func (q *queue) forget(turn chan struct{}) {
	q.mu.Lock()
	for i, waiter := range q.waiters {
		if waiter == turn {
			q.waiters = append(q.waiters[:i:i], q.waiters[i+1:]...)
			q.mu.Unlock()
			return
		}
	}
	q.mu.Unlock()
	q.freed()
}
