package respond

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
)

// Entry is one request in the access log. The query string is left out on
// purpose: it is where secrets travel.
type Entry struct {
	At        time.Time
	Surface   string // gateway, api or console
	RequestID string
	Method    string
	Host      string
	Path      string
	Route     string // name of the gateway's route, if any
	Status    int
	BytesIn   int64
	BytesOut  int64
	Duration  time.Duration
	Address   string // of the client
	Actor     app.Actor
	Code      string // of the refusal or failure, if any
}

// AccessLog writes one line per request off the request's path: Record only
// puts the entry into a queue. A nil *AccessLog records nothing.
type AccessLog struct {
	queue   chan Entry
	lost    atomic.Int64
	closing sync.RWMutex // held for reading while an entry is queued
	closed  bool
	done    chan struct{}
}

// Bounds of the access log.
const (
	accessQueue  = 4096            // entries that wait to be written
	accessBuffer = 64 << 10        // bytes that wait to be flushed
	accessDelay  = 1 * time.Second // how long a line waits at most
)

// NewAccessLog starts an access log on w: JSON lines, or slog's text form.
// Close ends it.
func NewAccessLog(w io.Writer, json bool) *AccessLog {
	a := &AccessLog{queue: make(chan Entry, accessQueue), done: make(chan struct{})}
	buffer := bufio.NewWriterSize(w, accessBuffer)
	go a.write(buffer, newHandler(buffer, json, slog.LevelInfo))
	return a
}

// Record queues the entry. When the writer cannot follow, the entry is lost
// and counted: a slow disk must not slow traffic down.
func (a *AccessLog) Record(e Entry) {
	if a == nil {
		return
	}
	a.closing.RLock()
	defer a.closing.RUnlock()
	if a.closed {
		return
	}
	select {
	case a.queue <- e:
	default:
		a.lost.Add(1)
	}
}

// Lost returns how many entries found the queue full.
func (a *AccessLog) Lost() int64 {
	if a == nil {
		return 0
	}
	return a.lost.Load()
}

// Close writes what is queued and ends. Entries recorded later are ignored.
func (a *AccessLog) Close() {
	if a == nil {
		return
	}
	a.closing.Lock()
	if !a.closed {
		a.closed = true
		close(a.queue)
	}
	a.closing.Unlock()
	<-a.done
}

// write drains the queue. It flushes when nothing more is waiting and the
// oldest unflushed line is accessDelay old, so an idle log costs nothing.
func (a *AccessLog) write(buffer *bufio.Writer, handler slog.Handler) {
	defer close(a.done)
	defer buffer.Flush() // nobody is left to tell of an error
	var timer <-chan time.Time
	for {
		select {
		case e, open := <-a.queue:
			if !open {
				return
			}
			handler.Handle(context.Background(), e.record()) // a full disk must not stop traffic
			if timer == nil {
				timer = time.After(accessDelay)
			}
		case <-timer:
			buffer.Flush()
			timer = nil
		}
	}
}

func (e *Entry) record() slog.Record {
	record := slog.NewRecord(e.At, slog.LevelInfo, "request", 0)
	record.AddAttrs(slog.String("surface", e.Surface), slog.String("request_id", e.RequestID),
		slog.String("method", e.Method), slog.String("host", e.Host), slog.String("path", SafePath(e.Path)),
		slog.Int("status", e.Status), slog.Int64("bytes_in", e.BytesIn), slog.Int64("bytes_out", e.BytesOut),
		slog.Int64("duration_us", e.Duration.Microseconds()), slog.String("address", e.Address))
	for _, optional := range [...]struct{ name, value string }{{"route", e.Route}, {"code", e.Code},
		{"org", string(e.Actor.OrgID)}, {"actor", e.actor()}} {
		if optional.value != "" {
			record.AddAttrs(slog.String(optional.name, optional.value))
		}
	}
	return record
}

func (e *Entry) actor() string {
	if e.Actor.Kind == "" {
		return ""
	}
	return e.Actor.String()
}
