package gateway

import (
	"sync"
	"time"
)

// faultEvery is how often one fault is logged.
const faultEvery = time.Second

// faults keeps one fault from flooding the log. Codes are few and fixed.
type faults struct {
	mu     sync.Mutex
	byCode map[string]fault
}

type fault struct {
	logged time.Time
	more   int64 // since then, not logged
}

// note counts a fault, and reports whether it is to be logged now and how many
// were not since the last that was.
func (f *faults) note(code string, now time.Time) (more int64, due bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byCode == nil {
		f.byCode = map[string]fault{}
	}
	known, seen := f.byCode[code]
	if since := now.Sub(known.logged); seen && since < faultEvery && since >= 0 {
		known.more++
		f.byCode[code] = known
		return 0, false
	}
	f.byCode[code] = fault{logged: now}
	return known.more, true
}
