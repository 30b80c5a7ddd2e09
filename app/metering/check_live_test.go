package metering_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// TestAVerifierGoesOnBesideRequests proves a ledger again and again while
// requests and events are counted, and across restarts.
func TestAVerifierGoesOnBesideRequests(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		var log lines // of a fault that the next whole reading did not find
		v := &metering.Verifier{Store: s, WholeEvery: 24 * time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))}
		requests := int64(0)
		for run := range 3 {
			l, e := openMeter(t, metering.Options{Store: s}), openEvents(t, s)
			var callers sync.WaitGroup
			end := make(chan struct{})
			for caller := range 4 {
				callers.Go(func() {
					account := monthly(fmt.Sprint("org_", caller))
					for i := 0; ; i++ {
						select {
						case <-end:
							return
						default:
						}
						in, out := tokens(request(fmt.Sprint("org_", caller), noon.Add(time.Duration(run)*8*time.Hour)), account, int64(i))
						in.Uses = []app.Use{{Meter: "visitors", Value: int64(i % 50), Unique: true}}
						ticket := l.Begin(in)
						if err := ticket.Wait(t.Context()); err != nil {
							t.Error(err)
							return
						}
						l.Settle(ticket, out)
						l.Tally(1)
						record(t, e, reported(fmt.Sprint("org_", caller), int64(run*1_000_000+i)))
					}
				})
			}
			for range 5 {
				before := requests
				for requests < before+20 { // so that there is something new each time
					requests = nextHolds(t, v).Requests
				}
			}
			close(end)
			callers.Wait()
			closeMeter(t, l)
			closeEvents(t, e)
		}
		last, whole := nextHolds(t, v), mustHold(t, s)
		if text := log.String(); text != "" {
			t.Error(text)
		}
		last.Read, last.WholeAt, whole.Read = 0, time.Time{}, 0
		if fmt.Sprint(last) != fmt.Sprint(whole) {
			t.Errorf("going on it tells\n%+v, from the beginning\n%+v", last, whole)
		}
	})
}

// lines is a log in memory.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
