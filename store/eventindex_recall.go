package store

import (
	"context"
	"fmt"
	"time"

	"gatehouse/app"
)

// recallBlocks is how many blocks are read at once; they are small where there
// are many.
const recallBlocks = 256

// EventReader reads which events a block counts, and when they were received.
// What it returns is valid until the next call.
type EventReader = func(replica, seq int64, body []byte) (received time.Time, marks []app.EventMark, err error)

// RecallEvents makes the chain the one that counts events, and makes ready what
// is counted already since a time. On SQLite, where one process alone counts,
// it reads the index, and the events of blocks behind it, until CloseReplica
// ends the chain: every other process's chain must have ended or be fenced
// (event_chain_open), and this process have no other (event_chain_taken). On
// PostgreSQL the database keeps the ids, and there is nothing to do.
func (l *Ledger) RecallEvents(ctx context.Context, replica int64, since time.Time, read EventReader) error {
	if l.onPostgres() {
		return nil
	}
	x, err := l.openIndex(ctx, replica)
	if err != nil {
		return err
	}
	if err = x.recall(ctx, since, read); err != nil {
		l.closeIndex(replica)
	}
	return err
}

// openIndex makes the index the chain's.
func (l *Ledger) openIndex(ctx context.Context, replica int64) (*eventIndex, error) {
	ctx = context.WithoutCancel(ctx)
	page, err := l.db.read.PrepareContext(ctx, `SELECT body FROM usage_event_page WHERE id = $1`)
	if err != nil {
		return nil, asAppError(ctx, err)
	}
	x := &eventIndex{replica: replica, o: l.indexOptions, log: l.db.log, recent: newIDTable(), retry: indexRetry,
		disk: indexDisk{ledger: l, replica: replica, page: page},
		due:  make(chan struct{}, 1), moved: make(chan struct{}, 1), ended: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.index != nil {
		page.Close()
		return nil, app.Conflict("event_chain_taken", "Replica %d of this process counts events already; it must end first.", l.index.replica)
	}
	ctx, x.stop = context.WithCancel(ctx)
	l.index = x
	go x.run(ctx)
	return x, nil
}

// eventIndex is the index of a chain that recalled its events.
func (l *Ledger) eventIndex(replica int64) (*eventIndex, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.index == nil || replica != 0 && l.index.replica != replica {
		return nil, app.Conflict("event_chain_taken", "Replica %d has not recalled which events are counted.", replica)
	}
	return l.index, nil
}

// closeIndex ends the index if it is the chain's; 0: of any.
func (l *Ledger) closeIndex(replica int64) {
	x, err := l.eventIndex(replica)
	if err != nil {
		return
	}
	x.close() // before another one reads what it may just be writing
	x.disk.page.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index = nil
}

// recall reads the index, and then the blocks that are not in it.
func (x *eventIndex) recall(ctx context.Context, since time.Time, read EventReader) error {
	started := time.Now()
	chains, at, err := x.load(ctx, since)
	if err != nil {
		return err
	}
	blocks := 0
	for _, chain := range chains {
		n, err := x.replay(ctx, chain, at[chain], since.UnixMilli(), read)
		if blocks += n; err != nil {
			return err
		}
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.log.Info("recalled which events are counted", "parts", len(x.parts), "blocks", blocks, "recent", x.recent.count, "took", time.Since(started))
	return nil
}

// load reads the parts, and returns which chains hold events and how far they
// are in parts. In the same snapshot it makes sure that nobody else can add to
// them.
func (x *eventIndex) load(ctx context.Context, since time.Time) (chains []int64, at map[int64]int64, err error) {
	l := x.disk.ledger
	at = map[int64]int64{}
	var ready, dropped []*idPart
	err = l.snapshot(ctx, func(t *tx) error {
		replicas, err := rows(t, scanReplica, `SELECT `+replicaColumns+` FROM usage_replica ORDER BY id`)
		for _, r := range replicas {
			if err == nil {
				err = l.mayAppend(r, x.replica)
			}
		}
		if err != nil {
			return err
		}
		if chains, err = t.eventChains(since); err != nil {
			return err
		}
		if err = t.positions(at); err != nil {
			return err
		}
		ready, dropped, err = t.loadParts()
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.parts, x.dropped, x.nextID = ready, dropped, 1
	for _, p := range append(dropped[:len(dropped):len(dropped)], ready...) {
		x.nextID = max(x.nextID, p.id+1)
	}
	x.wake()
	return chains, at, nil
}

// mayAppend fails when a replica can still write events beside the index's
// own chain. Other chains of this process cannot: the index is not theirs.
func (l *Ledger) mayAppend(r app.LedgerReplica, own int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ended := !r.ClosedAt.IsZero() || !r.FencedAt.IsZero()
	switch {
	case r.ID == own && ended:
		return fencedError(own)
	case r.ID == own || ended || l.mine[r.ID]:
		return nil
	}
	return &app.Error{Kind: app.KindUnavailable, Code: "event_chain_open",
		Message: fmt.Sprintf("Replica %d (%s) of another process may still count events in the same SQLite file.", r.ID, r.Node),
		Advice:  "Run one process on a file, or use PostgreSQL. If the other one has just ended, start again."}
}

// eventChains are the chains of events that did not end before a time.
func (t *tx) eventChains(since time.Time) ([]int64, error) {
	scan := func(row scanner) (id int64, err error) { return id, row.Scan(&id) }
	return rows(t, scan, `SELECT id FROM usage_replica WHERE node LIKE $1 AND (closed_at = 0 OR closed_at >= $2) ORDER BY id`,
		"%"+app.LedgerEventsSuffix, since.UnixMilli())
}

func (t *tx) positions(at map[int64]int64) error {
	scan := func(row scanner) error {
		var replica, seq int64
		err := row.Scan(&replica, &seq)
		at[replica] = seq
		return err
	}
	return each(t, scan, `SELECT replica, seq FROM usage_event_position`)
}

// replay takes in the events of a chain's blocks after a seq.
func (x *eventIndex) replay(ctx context.Context, chain, after, since int64, read EventReader) (blocks int, err error) {
	for more := true; more; {
		before := blocks
		err = x.disk.ledger.Blocks(ctx, chain, after, recallBlocks, func(seq int64, body []byte) error {
			received, marks, err := read(chain, seq, body)
			if at := received.UnixMilli(); err == nil && at >= since {
				x.add(chain, seq, at, marks)
			}
			blocks, after = blocks+1, seq
			return err
		})
		if err == nil {
			err = x.awaitRoom(ctx)
		}
		more = err == nil && blocks-before == recallBlocks
	}
	return blocks, err
}

// awaitRoom waits until what is full is written, as far as it has to be.
func (x *eventIndex) awaitRoom(ctx context.Context) error {
	for x.room() != nil {
		select {
		case <-x.moved:
		case <-x.ended:
			return fencedError(x.replica)
		case <-ctx.Done():
			return asAppError(ctx, ctx.Err())
		}
	}
	return nil
}
