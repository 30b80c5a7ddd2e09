package console_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
)

// testLog keeps what was logged, so that tests can look for secrets in it.
type testLog struct{ lines atomic.Pointer[[]string] }

func (l *testLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *testLog) Handle(_ context.Context, r slog.Record) error {
	var line strings.Builder
	line.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool { line.WriteString(" " + a.String()); return true })
	for {
		old := l.lines.Load()
		var next []string
		if old != nil {
			next = append(next, *old...)
		}
		next = append(next, line.String())
		if l.lines.CompareAndSwap(old, &next) {
			return nil
		}
	}
}

func (l *testLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *testLog) WithGroup(string) slog.Handler      { return l }

func (l *testLog) text() string {
	if lines := l.lines.Load(); lines != nil {
		return strings.Join(*lines, "\n")
	}
	return ""
}
