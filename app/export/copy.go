package export

import (
	"context"
	"io"
	"sync"

	"gatehouse/app"
)

// Copied is how far a copy has come.
type Copied struct {
	Next    int64 `json:"next"` // the cursor to go on with
	Records int64 `json:"records"`
	Objects int64 `json:"objects,omitempty"`
}

// Copy writes everything after the cursor to w, as one document. Only operators
// with usage:read may ask.
func (s *Service) Copy(ctx context.Context, actor app.Actor, w io.Writer, after int64, format string) (Copied, error) {
	if err := actor.Require(ScopeRead); err != nil {
		return Copied{}, err
	}
	if err := CheckFormat(format); err != nil {
		return Copied{}, err
	}
	if after < 0 {
		return Copied{}, app.Invalid("after", "must not be negative")
	}
	next, records, err := write(ctx, s.Source, w, format, after, 0, 0)
	return Copied{Next: next, Records: records}, err
}

// Watch returns the source with somebody who is told of each record that passes.
func Watch(source Source, progress func(Copied)) Source {
	return &watched{Source: source, progress: progress}
}

type watched struct {
	Source
	progress func(Copied)
	records  int64
}

// Records implements Source.
func (s *watched) Records(ctx context.Context, after, upto int64, max int, each func(*app.ExportRecord) error) (int64, error) {
	return s.Source.Records(ctx, after, upto, max, func(r *app.ExportRecord) error {
		s.records++
		s.progress(Copied{Next: r.N, Records: s.records})
		return each(r)
	})
}

// From is a cursor that lasts as long as the process: for an export that
// somebody asks for once. An object that is repeated has the same name as long
// as the export begins at the same step and the ledger has not grown within it.
func From(after int64) Cursors { return &passing{at: after, planned: after} }

type passing struct {
	mu          sync.Mutex
	at, planned int64
}

// ExportCursor implements Cursors.
func (p *passing) ExportCursor(context.Context, string) (app.ExportCursor, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return app.ExportCursor{Cursor: p.at, Planned: p.planned}, nil
}

// PlanExport implements Cursors.
func (p *passing) PlanExport(_ context.Context, _ string, r app.ExportRange) (app.ExportCursor, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.planned = r.Upto
	return app.ExportCursor{Cursor: p.at, Planned: p.planned}, nil
}

// MoveExport implements Cursors.
func (p *passing) MoveExport(_ context.Context, _ string, r app.ExportRange) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.planned = r.Upto, r.Upto
	return nil
}
