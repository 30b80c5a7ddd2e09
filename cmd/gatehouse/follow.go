package main

import (
	"context"
	"fmt"
	"time"

	"gatehouse/app"
)

const (
	// pollEvery is how often a node looks for changes by other processes: the
	// upper bound on how long one takes to be heard without a notice.
	pollEvery = 250 * time.Millisecond
	// changesAtOnce bounds one look.
	changesAtOnce = 500
	// changesChannel carries notices between replicas: look now.
	changesChannel = "gatehouse:changes"
)

// changed takes in a change. When it returns, the gateway no longer serves by
// what was before.
func (p *Program) changed(c app.Change) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := p.gateway.Changed(ctx, c)
	if err == nil && c.Noun == "signing_key" {
		err = p.tokens.Reload(ctx)
	}
	if err == nil {
		err = p.usageChanged(ctx, c.Noun)
	}
	if err != nil {
		return fmt.Errorf("take in the change of %s %s: %w", c.Noun, c.ID, err)
	}
	return nil
}

// changedHere takes in a change by this process, before the call that made it
// returns, and tells the others.
func (p *Program) changedHere(c app.Change) {
	p.own.Store(c.Seq, true)
	if err := p.changed(c); err != nil {
		p.own.Delete(c.Seq) // following takes it in, as another's
		p.log.Warn("change not taken in yet", "err", err)
	}
	p.announce()
}

// announce tells other replicas to look at once; polling finds the change anyway.
func (p *Program) announce() {
	ctx, cancel := context.WithTimeout(context.Background(), pollEvery)
	defer cancel()
	if err := p.redis.Publish(ctx, changesChannel, p.replica); err != nil {
		p.log.Debug("change not announced", "err", err)
	}
}

// followChanges takes in what other processes change: the command line, and
// other replicas.
func (p *Program) followChanges(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.look:
		}
		failing = p.noteFollow(p.catchUp(ctx), failing)
	}
}

// noteFollow logs when following begins or ceases to fail.
func (p *Program) noteFollow(err error, failing bool) bool {
	switch {
	case err != nil && !failing && !app.IsKind(err, app.KindCancelled):
		p.log.Warn("changes not followed", "err", err)
		return true
	case err == nil && failing:
		p.log.Info("changes followed again")
		return false
	}
	return failing
}

// catchUp takes in all changes since the last look.
func (p *Program) catchUp(ctx context.Context) error {
	for {
		changes, err := p.store.Changes(ctx, p.seen, changesAtOnce)
		if known := app.AsError(err); known != nil && known.Code == "changes_lost" {
			return p.beginAnew(ctx)
		}
		if err != nil {
			return err
		}
		for _, c := range changes {
			if _, own := p.own.LoadAndDelete(c.Seq); !own {
				if err := p.changed(c); err != nil {
					return err // and again at the next look
				}
			}
			p.seen = c.Seq
		}
		if len(changes) < changesAtOnce {
			return nil
		}
	}
}

// beginAnew reads all configuration, as at the start.
func (p *Program) beginAnew(ctx context.Context) (err error) {
	if p.seen, err = p.store.LastChange(ctx); err != nil {
		return err
	}
	for _, noun := range []string{"meter", "rate"} {
		if err := p.usageChanged(ctx, noun); err != nil {
			return err
		}
	}
	return p.gateway.Refresh(ctx)
}

// followNotices hears other replicas' notices.
func (p *Program) followNotices(ctx context.Context) {
	p.redis.Subscribe(ctx, changesChannel, p.lookNow, func(from string) {
		if from != p.replica {
			p.lookNow()
		}
	})
}

func (p *Program) lookNow() {
	select {
	case p.look <- struct{}{}:
	default: // a look is due already
	}
}
