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
}

// Outcome is how a counted request ended.
type Outcome struct {
	Status   int // HTTP status sent to the client; 0: the client left before one
	BytesIn  int64
	BytesOut int64
	Duration time.Duration
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
	Requests int64         `json:"requests"` // requests that passed the gate
	Weight   int64         `json:"weight"`   // units: the sum of weights
	Status2  int64         `json:"status_2xx"`
	Status3  int64         `json:"status_3xx"`
	Status4  int64         `json:"status_4xx"`
	Status5  int64         `json:"status_5xx"`
	Unknown  int64         `json:"unknown"` // counted, outcome not (yet) known
	BytesIn  int64         `json:"bytes_in"`
	BytesOut int64         `json:"bytes_out"`
	Duration time.Duration `json:"duration_ns"` // summed
}
