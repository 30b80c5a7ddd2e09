package app

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Aggregation says how the values of a meter become one number.
type Aggregation string

// Aggregations of a meter.
const (
	AggregationCount  Aggregation = "count"  // occurrences
	AggregationSum    Aggregation = "sum"    // of values
	AggregationUnique Aggregation = "unique" // different values
	AggregationMax    Aggregation = "max"    // the largest value
	AggregationLatest Aggregation = "latest" // the value of the latest time; of equal times the largest
)

// Meter is what is counted. Meters are data: the built-in ones are what the
// gate counts by itself, others read the events of the operator's app.
type Meter struct {
	Slug        string      `json:"slug"` // unique label
	Name        string      `json:"name"`
	Unit        string      `json:"unit,omitempty"` // of one, such as "document"; shown beside numbers
	Aggregation Aggregation `json:"aggregation"`
	EventType   string      `json:"event_type,omitempty"` // CloudEvents type that it reads; empty: the gate's own alone
	Value       string      `json:"value,omitempty"`      // property of the event's data that holds the value; count has none
	Dimensions  []string    `json:"dimensions,omitempty"` // properties of the event's data that usage can be grouped by
	BuiltIn     bool        `json:"built_in,omitempty"`   // cannot be changed or deleted
	CreatedAt   time.Time   `json:"created_at,omitzero"`
	UpdatedAt   time.Time   `json:"updated_at,omitzero"`
}

// Adds reports whether quantities of the meter add up, so that a quota can
// grant some of it.
func (m Meter) Adds() bool {
	return m.Aggregation == AggregationCount || m.Aggregation == AggregationSum
}

// Meters that the gate counts beside MeterRequests, MeterBytes and
// MeterDuration, which routes name.
const (
	MeterSocketSeconds    = "websocket_seconds"
	MeterAgentMinutes     = "agent_minutes"      // each begun minute
	MeterTokensInput      = "tokens_input"       // read by a model, without what came from or went to its cache
	MeterTokensOutput     = "tokens_output"      // written by a model
	MeterTokensCacheRead  = "tokens_cache_read"  // read by a model from its cache
	MeterTokensCacheWrite = "tokens_cache_write" // written by a model to its cache
	MeterCost             = "cost"               // money, in micros: what usage cost the operator
)

// BuiltInMeters are the meters that every installation has. Those with an
// event type also count events of that type, whose data hold "value".
func BuiltInMeters() []Meter {
	own := func(slug, name, unit string) Meter {
		return Meter{Slug: slug, Name: name, Unit: unit, Aggregation: AggregationSum, BuiltIn: true}
	}
	told := func(slug, name, unit string) Meter {
		m := own(slug, name, unit)
		m.EventType, m.Value, m.Dimensions = slug, "value", []string{"model", "user", "task"}
		return m
	}
	return []Meter{
		own(MeterRequests, "Requests", "request"), own(MeterBytes, "Bytes", "byte"), own(MeterDuration, "Duration", "millisecond"),
		own(MeterSocketSeconds, "WebSocket seconds", "second"), told(MeterAgentMinutes, "Agent minutes", "minute"),
		told(MeterTokensInput, "Input tokens", "token"), told(MeterTokensOutput, "Output tokens", "token"),
		told(MeterTokensCacheRead, "Cache-read tokens", "token"), told(MeterTokensCacheWrite, "Cache-write tokens", "token"),
		told(MeterCost, "Cost", "micro-dollar"),
	}
}

// Bounds of meters and their dimensions.
const (
	MaxMeters          = 200
	MaxDimensions      = 8
	MaxDimensionLength = 128 // bytes of a dimension's value; longer ones are cut
)

// Check returns what is wrong with the meter, field by field.
func (m Meter) Check() []FieldError {
	var wrong []FieldError
	add := func(field, message string) { wrong = append(wrong, FieldError{field, message}) }
	if !ValidLabel(m.Slug) {
		add("slug", "must be 1–40 of a-z 0-9 - _")
	}
	if bad := CheckName("name", m.Name); bad != nil {
		wrong = append(wrong, *bad)
	}
	switch m.Aggregation {
	case AggregationCount:
		if m.Value != "" {
			add("value", "must be left out: a count has no value")
		}
	case AggregationSum, AggregationUnique, AggregationMax, AggregationLatest:
		if !validProperty(m.Value) {
			add("value", "must name a property of the event's data, 1–64 of a-z A-Z 0-9 _ - .")
		}
	default:
		add("aggregation", "must be count, sum, unique, max or latest")
	}
	if m.EventType == "" || len(m.EventType) > 200 || !printable(m.EventType) {
		add("event_type", "must be the type of the events to read, at most 200 characters")
	}
	if len(m.Unit) > 40 || !printable(m.Unit) {
		add("unit", "must have at most 40 characters")
	}
	return append(wrong, m.checkDimensions()...)
}

func (m Meter) checkDimensions() []FieldError {
	var wrong []FieldError
	if len(m.Dimensions) > MaxDimensions {
		wrong = append(wrong, FieldError{"dimensions", fmt.Sprintf("must be at most %d", MaxDimensions)})
	}
	seen := map[string]bool{}
	for i, name := range m.Dimensions {
		at := fmt.Sprintf("dimensions[%d]", i)
		if !validProperty(name) {
			wrong = append(wrong, FieldError{at, "must be 1–64 of a-z A-Z 0-9 _ - ."})
		}
		if seen[name] {
			wrong = append(wrong, FieldError{at, "is there twice"})
		}
		seen[name] = true
	}
	return wrong
}

// printable reports whether a text is UTF-8 without control characters.
func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

func validProperty(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

// Use is a quantity of one meter that something took.
type Use struct {
	Meter     string
	Dims      string // JSON object of the dimensions' texts, names sorted, no blanks; empty: none
	Value     int64  // of a count 1; of a unique meter a hash of the value
	Unique    bool   // Value names a member of a set, and is not added
	Estimated bool   // nobody said the true quantity
}
