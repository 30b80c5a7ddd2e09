package metering

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatehouse/app"
)

// Read reads what the meters count of an event of the type, whose data is a
// JSON object (or absent). A reason says why the event must be rejected: a
// meter needs what it does not hold.
func (s *Meters) Read(kind string, data []byte) (uses []app.Use, reason string) {
	t := s.set.Load()
	if t == nil || len(t.byType[kind]) == 0 {
		return nil, ""
	}
	var properties map[string]json.RawMessage
	if len(data) > 0 && json.Unmarshal(data, &properties) != nil {
		return nil, "data must be a JSON object"
	}
	for _, m := range t.byType[kind] {
		use, reason := readUse(m, properties)
		if reason != "" {
			return nil, reason
		}
		uses = append(uses, use)
	}
	return uses, ""
}

func readUse(m app.Meter, properties map[string]json.RawMessage) (app.Use, string) {
	use := app.Use{Meter: m.Slug, Dims: dimensions(m.Dimensions, properties)}
	if m.Aggregation == app.AggregationCount {
		use.Value = 1
		return use, ""
	}
	raw, found := properties[m.Value]
	if !found || string(raw) == "null" {
		return use, fmt.Sprintf("the meter %s needs data.%s", m.Slug, m.Value)
	}
	if m.Aggregation == app.AggregationUnique {
		use.Unique, use.Value = true, UniqueValue(plain(raw))
		return use, ""
	}
	n, err := strconv.ParseInt(plain(raw), 10, 64)
	if err != nil || n != between(-maxValue, n, maxValue) {
		return use, fmt.Sprintf("the meter %s needs a whole number in data.%s, at most 2^50 either way; count in a smaller unit for fractions", m.Slug, m.Value)
	}
	use.Value = n
	return use, ""
}

// plain is the text of a JSON text, and the JSON of anything else.
func plain(raw json.RawMessage) string {
	var text string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return text
	}
	var tight bytes.Buffer
	if json.Compact(&tight, raw) != nil {
		return string(raw)
	}
	return tight.String()
}

// UniqueValue is the member of a set that a text is: 63 bits of its SHA-256.
// Two of a million texts are taken for one with a chance of one in 20 million.
func UniqueValue(text string) int64 {
	sum := sha256.Sum256([]byte(text))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1)
}

// dimensions picks the properties as app.Use.Dims wants them.
func dimensions(names []string, properties map[string]json.RawMessage) string {
	picked := map[string]string{}
	for _, name := range names {
		if raw, found := properties[name]; found && string(raw) != "null" {
			picked[name] = plain(raw)
		}
	}
	return Dims(picked)
}

// Dims writes dimensions as app.Use.Dims wants them: values are cut to
// app.MaxDimensionLength, empty ones left out.
func Dims(values map[string]string) string {
	names := make([]string, 0, len(values))
	for name, value := range values {
		if value != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	out := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendJSON(append(appendJSON(out, name), ':'), cut(values[name]))
	}
	return string(append(out, '}'))
}

func appendJSON(out []byte, text string) []byte {
	raw, _ := json.Marshal(text) // a text always marshals
	return append(out, raw...)
}

// cut shortens a value, at the border of a character.
func cut(value string) string {
	value = clean(value)
	if len(value) <= app.MaxDimensionLength {
		return value
	}
	return strings.ToValidUTF8(value[:app.MaxDimensionLength], "")
}
