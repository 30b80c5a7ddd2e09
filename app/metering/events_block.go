package metering

import (
	"time"

	"gatehouse/app"
)

// append writes the events and corrections as one block and answers them.
func (e *Events) append(fresh []eventPlace, adjusts []pendingAdjust) (ok bool, err error) {
	l, w, now := e.chain, &e.chain.writer, e.o.Now()
	block := w.fillEvents(fresh, now)
	for i := range adjusts {
		w.adjust(&adjusts[i])
	}
	body, hash := w.encoder.encode(block)
	_, claims := block.marks()
	started := l.clock()
	for {
		if ok, err = e.store.AppendEvents(l.ctx, block.Replica, block.Seq, body, now, claims); err == nil {
			break
		}
		if l.ctx.Err() != nil || isFenced(err) {
			return false, err
		}
		l.stalled(err)
		l.turnAway(err)
		select {
		case <-time.After(firstRetry):
		case <-l.ctx.Done():
			return false, err
		}
	}
	if !ok {
		return false, nil
	}
	w.seq, w.link = block.Seq, app.LedgerLink{Replica: block.Replica, Seq: block.Seq, Hash: hash}
	place := app.EventMark{Replica: block.Replica, Seq: block.Seq}
	for _, p := range fresh {
		p.answer(app.EventResult{Verdict: app.EventAccepted}, place)
	}
	e.sieve.placed(place)
	l.sums.add(block, progress{w.link, w.openFrom(), -1})
	l.stats.committed(block, len(body), l.clock()-started)
	return true, nil
}

// fillEvents puts events into the writer's block.
func (w *writer) fillEvents(fresh []eventPlace, now time.Time) *Block {
	w.refs, w.meters, w.account = emptied(w.refs), emptied(w.meters), emptied(w.account)
	b := &w.block
	b.empty()
	b.Seq, b.Link, b.Base = w.seq+1, w.link, millis(now.UnixMilli())
	for _, p := range fresh {
		ev := p.event()
		at := millis(ev.Time.UnixMilli())
		b.Events = append(b.Events, Event{Org: app.OrgID(clean(string(ev.Org))), Key: app.KeyID(clean(string(ev.Key))),
			Source: ev.Source, ID: ev.ID, Type: ev.Type, At: at, Received: b.Base,
			ID16: p.batch.ids[p.index], Body: ev.Body})
		w.unload(&Series{Org: ev.Org, Key: ev.Key}, at, cargo{uses: ev.Uses, draws: p.batch.draws[p.index]})
	}
	return b
}

// read reads a block as the store gave it.
func (b *Block) read(replica, seq int64, body []byte) error {
	err := b.Decode(body)
	if err == nil && (b.Replica != replica || b.Seq != seq) {
		err = errShape
	}
	return err
}

// marks is which events the block counts, and when they were received.
func (b *Block) marks() (received time.Time, marks []app.EventMark) {
	marks = make([]app.EventMark, len(b.Events))
	for i := range b.Events {
		r := &b.Events[i]
		marks[i] = app.EventMark{ID: r.ID16, Body: r.Body, Replica: b.Replica, Seq: b.Seq}
	}
	return time.UnixMilli(b.Base), marks // they all have the block's time
}
