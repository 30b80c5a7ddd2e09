package app

import "time"

// BucketLength is the length of a usage bucket. 15 minutes, because time zones
// at +5:30 and +5:45 cannot be built from hours.
const BucketLength = 15 * time.Minute

// Intent says that a request passed the gate: who, by which key, on which
// route, at which weight. It is durable before the client has the answer.
type Intent struct {
	At     time.Time
	Org    OrgID
	Key    KeyID   // empty: not identified by a key
	Route  RouteID // the route's id, or its name when it comes from configuration
	Weight int64
	More   bool   // it is no request: it holds more for one that runs, at the time of that one
	Hold   []Use  // worst cases of what only the outcome tells; Outcome.Uses replaces them
	Uses   []Use  // what is known already
	Draws  []Draw // on the accounts of quotas; copied, so the slice may be used again
}

// Outcome is how a counted request ended.
type Outcome struct {
	Status   int // HTTP status sent to the client; 0: the client left before one
	BytesIn  int64
	BytesOut int64
	Duration time.Duration
	Uses     []Use  // what the request took beside
	Draws    []Draw // what corrects the intent's
}

// Begun is a request's time as it is counted: each millisecond that was begun.
// The ledger holds it so, and usage, quotas and bills add up the same.
func Begun(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

// Quantity is what the outcome adds to a meter of the gate itself: bytes both
// ways for MeterBytes, begun milliseconds for MeterDuration, of others 0.
func (o Outcome) Quantity(meter string) int64 {
	switch meter {
	case MeterBytes:
		return o.BytesIn + o.BytesOut
	case MeterDuration:
		return Begun(o.Duration).Milliseconds()
	}
	return 0
}

// UsageQuery asks for usage of one organization (or of all, when Org is empty
// and the actor may see all) from Since to Until, cut into Bucket steps.
type UsageQuery struct {
	Org   OrgID
	Key   KeyID   // optional filter
	Route RouteID // optional filter
	Since time.Time
	Until time.Time
	Step  time.Duration // a multiple of BucketLength; 0 gives one row for the whole range
	Group string        // "", "key", "route" or "org"
}

// UsageRow is usage of one group in one step.
type UsageRow struct {
	Start    time.Time     `json:"start"`
	Group    string        `json:"group,omitempty"`
	Requests int64         `json:"requests"`   // requests that passed the gate
	Weight   int64         `json:"weight"`     // units: the sum of weights
	Status2  int64         `json:"status_2xx"` // 1xx too: a connection that was switched (WebSocket)
	Status3  int64         `json:"status_3xx"`
	Status4  int64         `json:"status_4xx"`
	Status5  int64         `json:"status_5xx"`
	Unknown  int64         `json:"unknown"` // counted, status not (yet) known, or the client left before one
	BytesIn  int64         `json:"bytes_in"`
	BytesOut int64         `json:"bytes_out"`
	Duration time.Duration `json:"duration_ns"` // summed
}

// Add adds the other row's sums.
func (r *UsageRow) Add(o UsageRow) {
	r.Requests += o.Requests
	r.Weight += o.Weight
	r.Status2 += o.Status2
	r.Status3 += o.Status3
	r.Status4 += o.Status4
	r.Status5 += o.Status5
	r.Unknown += o.Unknown
	r.BytesIn += o.BytesIn
	r.BytesOut += o.BytesOut
	r.Duration += o.Duration
}

// UsageBucket is what one organization used by one key on one route in one
// bucket: its Start is the bucket's, its Group is empty.
type UsageBucket struct {
	Org   OrgID // empty: nobody was identified
	Key   KeyID
	Route RouteID
	UsageRow
}

// BucketStart is the start of the bucket that holds the time, in Unix
// milliseconds as at is.
func BucketStart(at int64) int64 {
	const length = int64(BucketLength / time.Millisecond)
	start := at - at%length
	if start > at { // before 1970
		start -= length
	}
	return start
}
