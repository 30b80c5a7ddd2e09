package limit

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"gatehouse/app"
)

const (
	saveEvery = 2 * time.Second // what a crash may forget
	saveShare = 20              // saving may take one part in so many of the time
	// saveWindow is the shortest window that is saved: shorter ones are full
	// again before a restart is over.
	saveWindow = time.Minute
)

// CellStore keeps cells over a restart; the store fills it.
type CellStore interface {
	SaveRateCells(ctx context.Context, cells []app.RateCell) error
	RateCells(ctx context.Context) ([]app.RateCell, error)
}

// Persister saves the cells of a Local authority every two seconds, so that a
// restart does not hand every customer a fresh limit. Only what changed is
// saved, and less often when that is so much that it takes long.
type Persister struct {
	local *Local
	store CellStore
	log   *slog.Logger
	stop  context.CancelFunc
	done  sync.WaitGroup
	all   bool // the last save failed: save everything next time
}

// Persist takes up what was saved and begins to save. Call it before the
// first request.
func Persist(ctx context.Context, l *Local, store CellStore, log *slog.Logger) (*Persister, error) {
	cells, err := store.RateCells(ctx)
	if err != nil {
		return nil, err
	}
	l.Import(cells)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &Persister{local: l, store: store, log: log, stop: stop}
	p.done.Go(func() { p.run(running) })
	return p, nil
}

func (p *Persister) run(ctx context.Context) {
	timer := time.NewTimer(saveEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begun := time.Now()
		if err := p.save(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("rate limits could not be saved", "error", err)
		}
		timer.Reset(max(saveEvery, saveShare*time.Since(begun)))
	}
}

func (p *Persister) save(ctx context.Context) error {
	cells := p.local.Export(p.all)
	if len(cells) == 0 {
		return nil
	}
	err := p.store.SaveRateCells(ctx, cells)
	p.all = err != nil
	return err
}

// Close saves once more and stops.
func (p *Persister) Close(ctx context.Context) error {
	p.stop()
	p.done.Wait()
	return p.save(ctx)
}

// Export answers the cells that are not full and changed since they were last
// exported (or all), of windows of a minute and more. It is for one caller.
func (l *Local) Export(all bool) (list []app.RateCell) {
	now := l.clock.now()
	elapsed := l.clock.elapsed(now)
	l.each(func(c *Cell) {
		tat, r, at := c.look(elapsed)
		if r.limit.Window.Std() < saveWindow || tat <= at || tat == c.saved && !all {
			return
		}
		c.saved = tat
		org := owner(c.key)
		if !strings.HasPrefix(org, "org_") {
			org = ""
		}
		list = append(list, app.RateCell{Org: app.OrgID(org), Key: c.key, Requests: r.limit.Requests,
			Window: r.limit.Window, Burst: r.limit.Burst, FullAt: now.Add(r.wait(tat - at)).UTC()})
	})
	return list
}

// Import makes cells stand as they were exported. A cell that was used
// meanwhile stands at least so.
func (l *Local) Import(cells []app.RateCell) {
	now := l.clock.now()
	for _, saved := range cells {
		left := saved.FullAt.Sub(now)
		name := saved.Key[strings.LastIndexByte(saved.Key, '/')+1:]
		limit := app.RateLimit{Name: name, Requests: saved.Requests, Window: saved.Window, Burst: saved.Burst}
		if left <= 0 || len(limit.Check("")) > 0 {
			continue
		}
		l.Cell(saved.Key, limit).owe(int64(left))
	}
}

// owe makes the cell full not before as many nanoseconds from now, at most as
// long as a full refill takes.
func (c *Cell) owe(left int64) {
	for {
		tat, r, at := c.look(c.home.clock.elapsed(c.home.clock.now()))
		next := at + min(r.ticks(left)+r.slack, r.full)
		if next <= tat || c.tat.CompareAndSwap(tat, next) {
			break
		}
	}
	if c.parked.Load() {
		c.home.unpark(c)
	}
}
