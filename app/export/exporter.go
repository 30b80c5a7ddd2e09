package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"gatehouse/app"
)

// Cursors keeps how far each destination has come.
type Cursors interface {
	// ExportCursor is how far it has come; an unknown one stands at the beginning.
	ExportCursor(ctx context.Context, name string) (app.ExportCursor, error)
	// PlanExport notes where its next object ends, unless that is planned
	// already, and returns what holds.
	PlanExport(ctx context.Context, name string, r app.ExportRange) (app.ExportCursor, error)
	// MoveExport notes that everything up to the range's end is there.
	MoveExport(ctx context.Context, name string, r app.ExportRange) error
}

// Destination keeps objects.
type Destination interface {
	// Name tells it from others, for its cursor and for people. No secrets.
	Name() string
	// Put stores the file's contents under the name, durably, or leaves what is
	// there as it was. Storing the same again is no error.
	Put(ctx context.Context, name string, file *os.File, size int64, o Object) error
}

// Object says what is stored.
type Object struct {
	ContentType     string
	ContentEncoding string // gzip, or empty
}

// Options of an Exporter.
type Options struct {
	Source  Source
	Cursors Cursors
	To      Destination
	Every   time.Duration // default: a minute
	Format  string        // default: FormatJSONL
	Gzip    bool
	Scratch string           // folder for the object that is being written; default: os.TempDir
	Bytes   int64            // of blocks in one object, about; default: DefaultBytes
	Now     func() time.Time // default: time.Now
	Log     *slog.Logger     // default: discards
}

// DefaultBytes of blocks go into one object, about: some two million requests,
// some 30 MB of compressed lines.
const DefaultBytes = 32 << 20

// Exporter writes new records to a destination, by itself. Replicas may each
// run one: they write the same objects, under the same names.
type Exporter struct {
	o    Options
	name string

	mu   sync.Mutex
	last Status
}

// Status is how an Exporter fares.
type Status struct {
	To      string    `json:"to"`
	Cursor  int64     `json:"cursor"`
	Objects int64     `json:"objects"` // written since its start
	Records int64     `json:"records"` // in them
	At      time.Time `json:"at,omitzero"`
	Error   string    `json:"error,omitempty"` // of the last try
}

// New returns an exporter; Run runs it.
func New(o Options) (*Exporter, error) {
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	if o.Format == "" {
		o.Format = FormatJSONL
	}
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := CheckFormat(o.Format); err != nil {
		return nil, err
	}
	e := &Exporter{o: o, name: o.To.Name() + " " + o.Format}
	if o.Gzip {
		e.name += ".gz"
	}
	e.last.To = o.To.Name()
	return e, nil
}

// Run writes what is new, every so often, until the context ends. What fails
// is tried again the next time.
func (e *Exporter) Run(ctx context.Context) {
	tick := time.NewTicker(e.o.Every)
	defer tick.Stop()
	for {
		if _, err := e.Once(ctx); err != nil && ctx.Err() == nil {
			e.o.Log.Error("usage cannot be exported", "to", e.o.To.Name(), "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Last is how it fares.
func (e *Exporter) Last() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// Once writes everything that is new, object by object, and answers how many
// there were.
func (e *Exporter) Once(ctx context.Context) (objects int, err error) {
	defer func() { e.note(func(s *Status) { s.Error = errorText(err) }) }()
	for {
		r, err := e.plan(ctx)
		if err != nil || r.Empty() {
			return objects, err
		}
		records, err := e.write(ctx, r)
		if err == nil {
			err = e.o.Cursors.MoveExport(ctx, e.name, r)
		}
		if err != nil {
			return objects, err
		}
		objects++
		e.note(func(s *Status) { s.Cursor, s.Objects, s.Records = r.Upto, s.Objects+1, s.Records+records })
	}
}

func (e *Exporter) note(change func(*Status)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.last)
	e.last.At = e.o.Now().UTC()
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// plan is the range of the next object: the one that was begun, or a new one.
// It is noted before anything is written, so that after a crash, and in
// another replica, the object is the same.
func (e *Exporter) plan(ctx context.Context) (app.ExportRange, error) {
	c, err := e.o.Cursors.ExportCursor(ctx, e.name)
	if err != nil {
		return app.ExportRange{}, err
	}
	r, err := e.o.Source.Range(ctx, c.Cursor, e.o.Bytes)
	if err != nil {
		return app.ExportRange{}, err
	}
	if c.Planned == c.Cursor && !r.Empty() {
		if c, err = e.o.Cursors.PlanExport(ctx, e.name, r); err != nil {
			return app.ExportRange{}, err
		}
	}
	if c.Cursor != r.After { // another replica was quicker
		return e.plan(ctx)
	}
	r.Upto = c.Planned
	return r, nil
}

// write makes the range's object and stores it.
func (e *Exporter) write(ctx context.Context, r app.ExportRange) (records int64, err error) {
	scratch, err := os.CreateTemp(e.o.Scratch, "gatehouse-export-*")
	if err != nil {
		return 0, fmt.Errorf("make a scratch file: %w", err)
	}
	defer func() { err = errors.Join(err, scratch.Close(), os.Remove(scratch.Name())) }()
	out, end := compress(scratch, e.o.Gzip)
	next, records, err := write(ctx, e.o.Source, out, e.o.Format, r.After, r.Upto, 0)
	if err == nil && next != r.Upto {
		err = fmt.Errorf("the records end at step %d, not at %d", next, r.Upto)
	}
	if err == nil {
		err = end()
	}
	if err != nil {
		return 0, err
	}
	size, err := scratch.Seek(0, 1)
	if err == nil {
		_, err = scratch.Seek(0, 0)
	}
	if err != nil {
		return 0, err
	}
	o := Object{ContentType: ContentType(e.o.Format)}
	if e.o.Gzip {
		o.ContentEncoding = "gzip"
	}
	return records, e.o.To.Put(ctx, ObjectName(r, e.o.Format, e.o.Gzip), scratch, size, o)
}

// ObjectName names the object of a range: by the day of its first step, then by
// its first and its last step, so that names sort as their contents do.
func ObjectName(r app.ExportRange, format string, gzip bool) string {
	name := fmt.Sprintf("%s/usage-%012d-%012d.%s", r.At.UTC().Format("2006/01/02"), r.After+1, r.Upto, format)
	if gzip {
		name += ".gz"
	}
	return name
}
