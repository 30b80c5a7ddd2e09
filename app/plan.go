package app

import (
	"fmt"
	"time"
)

// Plan is a bundle that an organization is on. Plans are data: the catalogue
// that ships is only the first content of the table.
type Plan struct {
	Slug       string      `json:"slug"`
	Name       string      `json:"name"`
	Price      *Money      `json:"price,omitempty"` // a month; absent means "as agreed"
	RateLimits []RateLimit `json:"rate_limits,omitempty"`
	Quotas     []Quota     `json:"quotas,omitempty"`
	InFlight   int64       `json:"in_flight,omitempty"`  // requests at once; 0 is unlimited
	WebSockets int64       `json:"websockets,omitempty"` // connections at once; 0 is unlimited
	Tasks      int64       `json:"tasks,omitempty"`      // agent tasks at once; 0 is unlimited
	Members    int64       `json:"members,omitempty"`    // people; 0 is unlimited
	Promise    string      `json:"promise,omitempty"`    // availability promised, as text
	TrialDays  int64       `json:"trial_days,omitempty"`
	CreatedAt  time.Time   `json:"created_at,omitzero"`
	UpdatedAt  time.Time   `json:"updated_at,omitzero"`
}

// Quota is what a plan grants of one meter in one period: in units, or in
// money for the meter "cost" (then Limit is micros).
type Quota struct {
	Meter   string `json:"meter"`
	Limit   int64  `json:"limit"`
	Period  string `json:"period"`            // minute, hour, day, month, billing_period, lifetime
	Overage *Money `json:"overage,omitempty"` // price of a unit beyond; absent: hard stop
}

// Check returns what is wrong with the plan, field by field.
func (p Plan) Check() []FieldError {
	var wrong []FieldError
	if !ValidSlug(p.Slug) {
		wrong = append(wrong, FieldError{"slug", "must be 1–63 of a-z 0-9 -, and not begin or end with -"})
	}
	if bad := CheckName("name", p.Name); bad != nil {
		wrong = append(wrong, *bad)
	}
	if p.Price != nil && *p.Price < 0 {
		wrong = append(wrong, FieldError{"price", "must not be negative"})
	}
	wrong = append(wrong, CheckRateLimits("rate_limits", p.RateLimits)...)
	for _, count := range []struct {
		field string
		n     int64
	}{{"in_flight", p.InFlight}, {"websockets", p.WebSockets}, {"tasks", p.Tasks},
		{"members", p.Members}, {"trial_days", p.TrialDays}} {
		if count.n < 0 || count.n > 1e9 {
			wrong = append(wrong, FieldError{count.field, "must be between 0 (unlimited) and 1,000,000,000"})
		}
	}
	for i, q := range p.Quotas {
		wrong = append(wrong, q.check(fmt.Sprintf("quotas[%d]", i))...)
	}
	return wrong
}

func (q Quota) check(at string) []FieldError {
	var wrong []FieldError
	if !ValidLabel(q.Meter) {
		wrong = append(wrong, FieldError{at + ".meter", "must be 1–40 of a-z 0-9 - _"})
	}
	if q.Limit < 0 {
		wrong = append(wrong, FieldError{at + ".limit", "must not be negative"})
	}
	switch q.Period {
	case "minute", "hour", "day", "month", "billing_period", "lifetime":
	default:
		wrong = append(wrong, FieldError{at + ".period", "must be minute, hour, day, month, billing_period or lifetime"})
	}
	return wrong
}
