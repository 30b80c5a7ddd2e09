package app

import (
	"fmt"
	"slices"
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
	TimeZone   string      `json:"time_zone,omitempty"` // in which months and days of quotas begin, such as Asia/Kolkata; default UTC
	CreatedAt  time.Time   `json:"created_at,omitzero"`
	UpdatedAt  time.Time   `json:"updated_at,omitzero"`
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
	if _, err := p.Zone(); err != nil {
		wrong = append(wrong, FieldError{"time_zone", "must be a time zone such as Europe/Berlin"})
	}
	for i, q := range p.Quotas {
		if slices.ContainsFunc(p.Quotas[:i], q.Same) {
			wrong = append(wrong, FieldError{fmt.Sprintf("quotas[%d]", i), "is there twice: one quota for a meter and period"})
		}
		wrong = append(wrong, q.check(fmt.Sprintf("quotas[%d]", i))...)
	}
	return wrong
}

// Zone is the time zone of the plan's periods.
func (p Plan) Zone() (*time.Location, error) {
	if p.TimeZone == "" || p.TimeZone == "Local" { // never the machine's
		return time.UTC, nil
	}
	return time.LoadLocation(p.TimeZone)
}
