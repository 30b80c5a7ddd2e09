package app

import "time"

// RateCell is how one rate limit stands, to be taken up again after a restart:
// at FullAt it allows its whole burst again.
type RateCell struct {
	Org      OrgID  // whose it is; empty for what belongs to no organization
	Key      string // of the cell, unique
	Requests int64
	Window   Duration
	Burst    int64 // 0: Requests
	FullAt   time.Time
}
