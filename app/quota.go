package app

import (
	"fmt"
	"math"
	"time"
)

// QuotaPeriod is the time for which a quota grants.
type QuotaPeriod string

// Periods of a quota. Month and day follow the plan's time zone; a billing
// period runs from the organization's anchor day, which in a short month is
// its last; minute and hour follow UTC.
const (
	PeriodMinute   QuotaPeriod = "minute"
	PeriodHour     QuotaPeriod = "hour"
	PeriodDay      QuotaPeriod = "day"
	PeriodMonth    QuotaPeriod = "month"
	PeriodBilling  QuotaPeriod = "billing_period"
	PeriodLifetime QuotaPeriod = "lifetime"
)

// QuotaMode says what happens at a quota's limit.
type QuotaMode string

// Modes of a quota.
const (
	QuotaHard QuotaMode = "hard" // nothing passes the limit
	QuotaSoft QuotaMode = "soft" // everything passes; the ladder tells, and the last step suspends
)

// Quota is what a plan grants of one meter in one period: in units, or in
// money for the meter "cost" (then Limit is micros).
type Quota struct {
	Meter      string      `json:"meter"`
	Limit      int64       `json:"limit"`
	Period     QuotaPeriod `json:"period"`
	Mode       QuotaMode   `json:"mode,omitempty"`       // default: hard; soft when there is a price for overage
	Grace      int64       `json:"grace,omitempty"`      // per cent beyond the limit that a hard quota lets pass
	Overage    *Money      `json:"overage,omitempty"`    // price of a unit beyond
	Thresholds []int64     `json:"thresholds,omitempty"` // per cent at which the ladder tells; default: 80, 90, 100, 200
}

// SuspendAt is the per cent of a quota at which an organization is suspended,
// and somebody paged: it is only reachable by overage or late settlement.
const SuspendAt = 200

// DefaultThresholds is the ladder: 80 % tells the customer, 90 % warns the
// owner and the operator, 100 % is where a hard quota stops, 200 % suspends.
func DefaultThresholds() []int64 { return []int64{80, 90, 100, SuspendAt} }

// Ladder is the quota's thresholds in per cent.
func (q Quota) Ladder() []int64 {
	if len(q.Thresholds) > 0 {
		return q.Thresholds
	}
	return DefaultThresholds()
}

// Hard reports whether the quota stops at its limit (and grace).
func (q Quota) Hard() bool {
	return q.Mode == QuotaHard || q.Mode == "" && q.Overage == nil
}

// Ceiling is what a hard quota lets pass in all.
func (q Quota) Ceiling() int64 {
	return q.Limit + q.Limit/100*q.Grace + q.Limit%100*q.Grace/100
}

// Same reports whether both quotas are of the same meter and period: then one
// replaces the other.
func (q Quota) Same(o Quota) bool { return q.Meter == o.Meter && q.Period == o.Period }

// Bounds of a quota.
const (
	MaxQuotaLimit = math.MaxInt64 / 1000 // so that grace and thresholds never overflow
	MaxGrace      = 100                  // per cent
	MaxThresholds = 10
)

// CheckMeter says why there can be no quota on the meter, or nothing; known
// tells whether the quota's meter exists.
func (q Quota) CheckMeter(m Meter, known bool) string {
	switch {
	case !known:
		return fmt.Sprintf("there is no meter %q: make it first, or correct the name", q.Meter)
	case !m.Adds():
		return fmt.Sprintf("%q does not add up: its aggregation is %s; name a meter that counts or sums", q.Meter, m.Aggregation)
	}
	return ""
}

func (q Quota) check(at string) []FieldError {
	var wrong []FieldError
	add := func(field, message string) { wrong = append(wrong, FieldError{at + field, message}) }
	if !ValidLabel(q.Meter) {
		add(".meter", "must be 1–40 of a-z 0-9 - _")
	}
	if q.Limit < 0 || q.Limit > MaxQuotaLimit {
		add(".limit", fmt.Sprintf("must be between 0 and %d", int64(MaxQuotaLimit)))
	}
	if q.Mode != "" && q.Mode != QuotaHard && q.Mode != QuotaSoft {
		add(".mode", "must be hard or soft")
	}
	if q.Grace < 0 || q.Grace > MaxGrace || q.Grace > 0 && !q.Hard() {
		add(".grace", fmt.Sprintf("must be 0–%d per cent, of a hard quota", MaxGrace))
	}
	if q.Overage != nil && (*q.Overage < 0 || q.Mode == QuotaHard) {
		add(".overage", "must not be negative, and needs a soft quota")
	}
	if len(q.Thresholds) > MaxThresholds {
		add(".thresholds", fmt.Sprintf("must be at most %d", MaxThresholds))
	}
	for i, percent := range q.Thresholds {
		if percent < 1 || percent > 1000 || i > 0 && percent <= q.Thresholds[i-1] {
			add(".thresholds", "must be between 1 and 1000 per cent, and grow")
			break
		}
	}
	if !q.Period.valid() {
		add(".period", "must be minute, hour, day, month, billing_period or lifetime")
	}
	return wrong
}

func (p QuotaPeriod) valid() bool {
	switch p {
	case PeriodMinute, PeriodHour, PeriodDay, PeriodMonth, PeriodBilling, PeriodLifetime:
		return true
	}
	return false
}

// Bounds returns the period that holds the time, from start to end (not part
// of it). The anchor is when the organization's first billing period began. A
// lifetime has no bounds: both are zero.
func (p QuotaPeriod) Bounds(at time.Time, zone *time.Location, anchor time.Time) (start, end time.Time) {
	switch p {
	case PeriodMinute:
		start = at.UTC().Truncate(time.Minute)
		return start, start.Add(time.Minute)
	case PeriodHour:
		start = at.UTC().Truncate(time.Hour)
		return start, start.Add(time.Hour)
	case PeriodDay:
		year, month, day := at.In(zone).Date()
		return midnight(year, month, day, zone), midnight(year, month, day+1, zone)
	case PeriodMonth:
		year, month, _ := at.In(zone).Date()
		return midnight(year, month, 1, zone), midnight(year, month+1, 1, zone)
	case PeriodBilling:
		return billingPeriod(at.In(zone), anchor.In(zone))
	}
	return time.Time{}, time.Time{}
}

// billingPeriod is the month from one anniversary of the anchor to the next.
func billingPeriod(at, anchor time.Time) (start, end time.Time) {
	months := 12*(at.Year()-anchor.Year()) + int(at.Month()) - int(anchor.Month())
	start = anniversary(anchor, months)
	if start.After(at) {
		months--
		start = anniversary(anchor, months)
	}
	return start, anniversary(anchor, months+1)
}

// anniversary is the anchor so many months later: on its day, or on the last
// of a month that is too short. Each begins at midnight.
func anniversary(anchor time.Time, months int) time.Time {
	first := time.Date(anchor.Year(), anchor.Month()+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return midnight(first.Year(), first.Month(), min(anchor.Day(), last), anchor.Location())
}

// midnight is the first moment of a day. Where clocks are moved at midnight
// that is 1 o'clock, or the first of two midnights; time.Date would answer
// with 23 o'clock of the day before, or either.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	date := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	_, offset := date.In(zone).Zone()
	first := date.Add(-time.Duration(offset)*time.Second - 4*time.Hour) // no clock is moved by more
	last := first.Add(8 * time.Hour)
	reached := func(at time.Time) bool { // whether the local clock shows the day, or a later one
		_, offset := at.In(zone).Zone()
		return !at.Add(time.Duration(offset) * time.Second).Before(date)
	}
	for at := first; at.Before(last); {
		_, moved := at.In(zone).ZoneBounds() // up to it, the clock runs evenly
		_, offset := at.In(zone).Zone()
		if even := date.Add(-time.Duration(offset) * time.Second); !reached(at) && (moved.IsZero() || even.Before(moved)) {
			return even.In(zone)
		}
		if reached(at) || moved.IsZero() {
			return at.In(zone)
		}
		at = moved
	}
	return last.In(zone)
}

// QuotaOverride replaces a quota of the plan for one organization, or adds
// one; with a key it is that key's alone, beside the organization's.
type QuotaOverride struct {
	Org       OrgID     `json:"org_id"`
	Key       KeyID     `json:"key_id,omitempty"`
	Unlimited bool      `json:"unlimited,omitempty"` // there is no such quota, whatever the plan says
	Reason    string    `json:"reason,omitempty"`
	UpdatedBy string    `json:"updated_by,omitempty"` // an actor
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	Quota
}

// Check returns what is wrong with the override, field by field.
func (o QuotaOverride) Check() []FieldError {
	wrong := o.check("quota")
	if len(o.Reason) > MaxNameLength {
		wrong = append(wrong, FieldError{"reason", "must have at most 200 bytes"})
	}
	return wrong
}

// QuotaState is how a quota stands in its current period.
type QuotaState struct {
	Quota
	Key         KeyID     `json:"key_id,omitempty"` // empty: the organization's
	Hard        bool      `json:"hard"`
	Ceiling     int64     `json:"ceiling"` // limit and grace
	Used        int64     `json:"used"`
	Reserved    int64     `json:"reserved"` // by what runs
	Left        int64     `json:"left"`     // of a hard quota to its ceiling, of a soft one to its limit; never negative
	Start       time.Time `json:"period_start,omitzero"`
	ResetsAt    time.Time `json:"resets_at,omitzero"`    // zero: never
	ExhaustedAt time.Time `json:"exhausted_at,omitzero"` // forecast of when the limit is reached; zero: not in this period
}

// Rest is what is left of the quota: see Left.
func (s QuotaState) Rest() int64 {
	grants := s.Limit
	if s.Hard {
		grants = s.Ceiling
	}
	return max(0, grants-s.Used-s.Reserved)
}

// QuotaDetail says of a refusal which quota refused it, and when it lets
// something pass again. For the meter "cost" numbers are micros.
type QuotaDetail struct {
	Meter     string      `json:"meter"`
	Scope     string      `json:"scope"` // organization or key
	Period    QuotaPeriod `json:"period"`
	Limit     int64       `json:"limit"`
	Used      int64       `json:"used"`
	Reserved  int64       `json:"reserved"`
	Wanted    int64       `json:"wanted"`             // what the refused request might have taken
	ResetsAt  time.Time   `json:"resets_at,omitzero"` // zero: never
	UpgradeAt string      `json:"upgrade_url,omitempty"`
}

// NoticeLife is how long a notice is kept at least: a year and a month, so that
// two years can be compared.
const NoticeLife = 400 * 24 * time.Hour

// QuotaNotice says that an account passed a threshold; there is one for each
// threshold and account, ever.
type QuotaNotice struct {
	ID        string      `json:"id"`
	Org       OrgID       `json:"org_id"`
	Key       KeyID       `json:"key_id,omitempty"`
	Meter     string      `json:"meter"`
	Period    QuotaPeriod `json:"period"`
	Start     time.Time   `json:"period_start"`
	Threshold int64       `json:"threshold"` // per cent
	Limit     int64       `json:"limit"`
	Used      int64       `json:"used"`
	At        time.Time   `json:"at"`
}
