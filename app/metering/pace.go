package metering

import (
	"sync/atomic"
	"time"
)

// When the writer commits (speed.md, lesson 6, measured again with
// BenchmarkGate): at once while the ledger is idle; but when the last block
// held more than company requests, it pauses so that more share the next.
//
// While nobody waits, the pause costs nobody anything: it lasts as long as
// upstreams take less what a commit takes, so that who waits finds it done.
// Once somebody waits, it goes on while requests keep coming, until enough
// are there or Options.MaxDelay has passed since the last commit began: a slow
// disk gathers company by itself.
const (
	company  = 8
	enough   = 64                     // a commit of 200 µs of processor time costs each of them 3
	step     = 250 * time.Microsecond // without a request: no more are coming
	maxSlack = 4 * time.Millisecond   // more only makes blocks larger
)

func (l *Ledger) pace() {
	w := &l.writer
	if w.size <= company || l.o.MaxDelay < 0 {
		return
	}
	if slack := min(maxSlack, l.upstream.value()-w.commit); slack > step {
		l.pauseUntilWaited(slack)
	}
	l.gather(w.began + l.o.MaxDelay)
}

// gather pauses while requests keep coming, until a time.
func (l *Ledger) gather(until time.Duration) {
	for before := -1; ; {
		n, waited := l.queue()
		rest := min(step, until-l.clock())
		if n == before || n >= enough || !waited && before >= 0 || rest <= 0 {
			return
		}
		before = n
		nap(rest)
	}
}

// queue tells how many requests are in the open group, and whether one of
// them waits.
func (l *Ledger) queue() (n int, waited bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.intents), l.open.waited.Load()
}

// pauseUntilWaited sleeps until somebody waits for the open group.
func (l *Ledger) pauseUntilWaited(slack time.Duration) {
	timer := l.writer.timer
	timer.Reset(slack)
	defer timer.Stop()
	for {
		if _, waited := l.queue(); waited {
			return
		}
		select {
		case <-l.waits: // perhaps of an older group
		case <-timer.C:
			return
		case <-l.ctx.Done():
			return
		}
	}
}

// tellWaiting wakes a pausing writer.
func (l *Ledger) tellWaiting() {
	select {
	case l.waits <- struct{}{}:
	default:
	}
}

// smooth follows a changing duration: an eighth of the way with each sample,
// as TCP smooths its round trips (RFC 6298).
func smooth(old, sample time.Duration) time.Duration {
	if old == 0 {
		return sample
	}
	return old + (sample-old)/8
}

// average is a smoothed duration that many goroutines add to. A sample that
// meets another may be lost.
type average struct{ ns atomic.Int64 }

func (a *average) add(sample time.Duration) {
	a.ns.Store(int64(smooth(time.Duration(a.ns.Load()), sample)))
}

func (a *average) value() time.Duration { return time.Duration(a.ns.Load()) }
