package app

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Money is an amount in micros: millionths of a US dollar. It reads and writes
// as a decimal string ("49", "0.05", "0.0000015") and never passes a float.
type Money int64

// Micros is the number of Money units in one dollar.
const Micros = 1_000_000

// String writes the amount with the fewest decimals, at least none: "49", "0.05".
func (m Money) String() string {
	sign, abs := "", uint64(m)
	if m < 0 {
		sign, abs = "-", uint64(-m)
	}
	text := fmt.Sprintf("%s%d.%06d", sign, abs/Micros, abs%Micros)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// ParseMoney reads a decimal string of at most six decimals.
func ParseMoney(text string) (Money, error) {
	bad := fmt.Errorf("%q is not an amount such as \"49\" or \"0.05\" (at most 6 decimals)", text)
	rest, negative := strings.CutPrefix(text, "-")
	whole, fraction, hasDot := strings.Cut(rest, ".")
	if whole == "" || len(whole) > 12 || len(fraction) > 6 || (hasDot && fraction == "") {
		return 0, bad
	}
	var total int64
	for _, digit := range []byte(whole + fraction + strings.Repeat("0", 6-len(fraction))) {
		if digit < '0' || digit > '9' {
			return 0, bad
		}
		total = total*10 + int64(digit-'0')
	}
	if negative {
		total = -total
	}
	return Money(total), nil
}

// MarshalJSON implements json.Marshaler.
func (m Money) MarshalJSON() ([]byte, error) { return json.Marshal(m.String()) }

// UnmarshalJSON accepts a decimal string, or a plain JSON number read as text.
func (m *Money) UnmarshalJSON(raw []byte) error {
	parsed, err := ParseMoney(strings.Trim(string(raw), `"`))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

var (
	_ json.Marshaler   = Money(0)
	_ json.Unmarshaler = (*Money)(nil)
)
