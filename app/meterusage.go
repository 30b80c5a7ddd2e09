package app

import "time"

// MeterBucket is usage of one meter in one bucket: of one organization, key,
// route and set of dimensions.
type MeterBucket struct {
	Org       OrgID
	Meter     string
	Start     time.Time
	Key       KeyID
	Route     RouteID
	Dims      string // as Use.Dims
	Count     int64  // uses
	Sum       int64  // of values, and of corrections
	Max       int64  // the largest value; 0 without uses
	Latest    int64  // the value of the latest use, of equal times the largest; 0 without uses
	LatestAt  int64  // its time, Unix milliseconds
	Estimated int64  // uses whose true quantity nobody said
}

// MeterMember is a value of a unique meter that occurred in a bucket.
type MeterMember struct {
	Org   OrgID
	Meter string
	Start time.Time
	Key   KeyID
	Route RouteID
	Dims  string
	Value int64 // the value's hash
}

// Steps of a MeterQuery. Days and months follow its zone.
const (
	StepBucket = "15m"
	StepHour   = "hour"
	StepDay    = "day"
	StepMonth  = "month"
)

// MeterQuery asks for usage of one meter, of one organization (or of all, when
// Org is empty and the actor may see all) from Since to Until.
type MeterQuery struct {
	Org    OrgID
	Meter  string
	Group  []string          // "key", "route", "org" or dimensions of the meter
	Filter map[string]string // of "key", "route" or dimensions
	Since  time.Time         // widened to whole buckets, as is Until
	Until  time.Time
	Step   string         // StepBucket, StepHour, StepDay, StepMonth; empty: the whole range
	Zone   *time.Location // of days and months; nil: UTC
}

// MeterRow is usage of one group in one step.
type MeterRow struct {
	Start     time.Time         `json:"start"`
	Group     map[string]string `json:"group,omitempty"` // by the names that were asked for
	Value     int64             `json:"value"`           // as the meter's aggregation makes it
	Estimated int64             `json:"estimated"`       // how many of the uses in it are estimates
}

// MeterReport answers a MeterQuery: rows by start, then group.
type MeterReport struct {
	Meter Meter      `json:"meter"`
	Since time.Time  `json:"since"`
	Until time.Time  `json:"until"`
	Rows  []MeterRow `json:"rows"`
}

// Adjustment is an operator's correction of usage, kept in the ledger with its
// reason for ever. It adds its value, which may be negative, to the sum of a
// meter that counts or sums.
type Adjustment struct {
	Org    OrgID     `json:"org_id"`
	Key    KeyID     `json:"key_id,omitempty"`
	Route  RouteID   `json:"route_id,omitempty"`
	Meter  string    `json:"meter"`
	Dims   string    `json:"-"` // as Use.Dims
	At     time.Time `json:"at"`
	Value  int64     `json:"value"`
	Reason string    `json:"reason"`
}
