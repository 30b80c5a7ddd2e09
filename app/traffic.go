package app

import "time"

// TrafficRow is what one run of one node (its replica) saw in one minute or hour: of one organization,
// or of the whole gate when Org is empty.
type TrafficRow struct {
	Replica string
	Start   time.Time
	Org     OrgID
	Allowed int64  // forwarded, and answered below 500
	Refused int64  // stopped by the gate
	Failed  int64  // forwarded, and failed: 5xx, or no answer
	Latency []byte // packed histogram of whole durations; rows of the whole gate alone
	Own     []byte // packed histogram of the gate's own share; rows of the whole gate alone
}

// RefusalRow counts one reason of refusal in one minute or hour on one node.
type RefusalRow struct {
	Replica string
	Start   time.Time
	Code    string
	Count   int64
}
