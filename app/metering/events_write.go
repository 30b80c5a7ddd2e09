package metering

import (
	"time"
)

// take takes the batches of the next block.
func (e *Events) take() (list []*eventBatch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for n := 0; len(e.queue) > 0 && n < maxEventsBlock; e.queue = e.queue[1:] {
		list, n = append(list, e.queue[0]), n+e.queue[0].size()
		e.size -= e.queue[0].size()
	}
	return list
}

// write commits block after block until the chain is closed and nothing waits.
func (e *Events) write() {
	defer close(e.chain.drained)
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	for {
		list := e.take()
		if len(list) > 0 {
			e.commit(list)
			continue
		}
		if e.chain.over() {
			return
		}
		select {
		case <-e.wake:
		case <-e.chain.wake: // it closes, or was fenced
		case <-forget.C:
			e.forget()
		}
	}
}

// forget drops ids which nobody can repeat any more: an event is too old by its
// own time, which may lie after the time when it was received.
func (e *Events) forget() {
	for {
		n, err := e.store.ForgetEvents(e.chain.ctx, e.o.Now().Add(-eventMemory), forgetAtOnce)
		if err != nil && e.chain.ctx.Err() == nil {
			e.o.Log.Warn("ids of old events not forgotten", "err", err)
		}
		if err != nil || n < forgetAtOnce {
			return
		}
	}
}

// commit writes one block with the events that are new, however often it
// takes, and answers all of them.
func (e *Events) commit(list []*eventBatch) {
	err := e.try(list)
	for _, b := range list {
		b.err = err
		close(b.done)
	}
}

// try fails only when the chain gives up.
func (e *Events) try(list []*eventBatch) error {
	for wait := firstRetry; ; wait = min(2*wait, slowestRetry) {
		err := e.attempt(list)
		switch {
		case err == nil:
			e.chain.recovered()
			e.chain.welcome()
			return nil
		case isFenced(err):
			e.chain.fence(err)
			return unavailable(err)
		case e.chain.ctx.Err() != nil:
			return unavailable(errClosing)
		}
		e.chain.stalled(err)
		e.chain.turnAway(err)
		select {
		case <-time.After(wait):
		case <-e.chain.ctx.Done():
			return unavailable(errClosing)
		}
	}
}

// attempt sorts out what is counted already and writes the rest, until nobody
// else has counted one of them meanwhile. The bytes of a block whose answer was
// lost are written again as they were: it may be there.
func (e *Events) attempt(list []*eventBatch) error {
	adjusts := corrections(list)
	for {
		fresh, err := e.sift(list)
		if err != nil || len(fresh)+len(adjusts) == 0 {
			return err
		}
		ok, err := e.append(fresh, adjusts)
		if err != nil || ok {
			return err
		}
	}
}

func corrections(list []*eventBatch) (all []pendingAdjust) {
	for _, b := range list {
		all = append(all, b.adjusts...)
	}
	return all
}
