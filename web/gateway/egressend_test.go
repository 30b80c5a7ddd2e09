package gateway_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// A call that reached nobody costs nothing; one that broke off costs its worst
// case, but for what it told.
func TestACallThatFails(t *testing.T) {
	cut := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, text)
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	start := `data: {"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}` + "\n\n"
	for _, row := range []struct {
		name          string
		reply         http.HandlerFunc
		input, output int64
	}{
		{"nobody is there", nil, 0, 0},
		{"cut after its input was told", cut(start + "data: {}\n\n"), 25, 100},
		{"cut at once", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, -1, 100},
		{"it fails", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }, 0, 0},
		{"it says nothing of usage", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{}`) }, -1, 100},
	} {
		d := newDesk(t, onSQLite(t), row.reply, everythingCapped(1_000_000))
		if row.reply == nil {
			d.api.Close()
		}
		d.try(t.Context(), "POST", anthropicPath, strings.NewReader(streamedCall), d.app, d.whom)
		d.awaitRecorded(1)
		input, output := d.spent("tokens_input"), d.spent("tokens_output")
		if row.input < 0 && input < 20 || row.input >= 0 && input != row.input || output != row.output || d.spent("cost") != d.priced(input, output) {
			t.Errorf("%s: %d and %d tokens for %d, want %d and %d", row.name, input, output, d.spent("cost"), row.input, row.output)
		}
	}
}

func (d *desk) priced(input, output int64) int64 { return input + 2*output }

// When the caller leaves in the middle, the answer is read on: what it took is
// known, and not estimated.
func TestACallerThatLeaves(t *testing.T) {
	gone, begun := make(chan struct{}), make(chan struct{})
	whole, err := os.ReadFile("tokens/testdata/anthropic.sse")
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, onSQLite(t), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Write(whole[:200])
		http.NewResponseController(w).Flush()
		close(begun)
		<-gone
		w.Write(whole[200:])
	}, everythingCapped(1_000_000))
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-begun
		leave()
		close(gone)
	}()
	if _, err := d.try(ctx, "POST", anthropicPath, strings.NewReader(streamedCall), d.app, d.whom); err == nil {
		t.Error("the caller has the whole answer")
	}
	d.awaitRecorded(1)
	if input, output, cost := d.spent("tokens_input"), d.spent("tokens_output"), d.spent("cost"); input != 25 || output != 15 || cost != 55 {
		t.Errorf("%d and %d tokens for %d", input, output, cost)
	}
}

// The worst case is durable before the vendor hears of the call: while it is
// not, a caller who leaves has called nobody.
func TestNobodyIsCalledBeforeTheWorstCaseIsDurable(t *testing.T) {
	d := newDesk(t, onSQLite(t), says(t, "openai_chat.json"), everythingCapped(1_000_000))
	next := d.holdCommits()
	ctx, leave := context.WithCancel(t.Context())
	go d.try(ctx, "POST", openaiPath, strings.NewReader(plainCall), d.app, d.whom)
	intent := next()
	leave()
	d.awaitRecorded(1)
	if n := d.api.asked.Load(); n != 0 {
		t.Error("the vendor heard of a call that is not counted")
	}
	d.blocks.before.Store(nil)
	intent <- nil
	if n := d.spent("cost"); n != 0 {
		t.Errorf("%d spent for nothing", n)
	}
}

// What a call took is durable before its caller has the last of the answer:
// where it cannot be, the answer breaks off.
func TestNoAnswerEndsBeforeItsCostIsDurable(t *testing.T) {
	d := newDeskOf(t, onSQLite(t), 3*time.Second, tells(10, 100), everythingCapped(1_000_000))
	next := d.holdCommits()
	failed := make(chan error)
	go func() {
		_, err := d.try(t.Context(), "POST", openaiPath, strings.NewReader(plainCall), d.app, d.whom)
		failed <- err
	}()
	next() <- nil // the intent
	settle := next()
	if err := <-failed; err == nil { // when the ledger has lost its patience
		t.Error("the caller has all of an answer whose cost is not counted")
	}
	d.blocks.before.Store(nil)
	settle <- nil
	if n := d.spent("cost"); n != 210 {
		t.Errorf("%d spent, want 210", n)
	}
}

// holdCommits lets each commit wait for the test's verdict.
func (d *desk) holdCommits() (next func() chan error) {
	commits := make(chan chan error)
	hook := func() error {
		verdict := make(chan error)
		commits <- verdict
		return <-verdict
	}
	d.blocks.before.Store(&hook)
	return func() chan error {
		select {
		case verdict := <-commits:
			return verdict
		case <-time.After(patience):
			d.t.Fatal("nothing is committed")
		}
		return nil
	}
}
