package ui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// nbsp keeps a number and its unit on one line.
const nbsp = "\u00a0"

// Dash stands for what is not known or does not apply.
const Dash = "–"

// Count writes a number with thousands separated: 1,670,312.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

// Short writes a number in at most four characters and a unit: 8,095, 16.7 k, 1.67 M.
func Short(n int64) string {
	if n < 10_000 {
		return Count(n)
	}
	value, unit := float64(n), ""
	for _, next := range []string{"k", "M", "G", "T", "P"} {
		if value < 999.5 {
			break
		}
		value, unit = value/1000, next
	}
	return threeDigits(value) + nbsp + unit
}

// Rate writes requests a second: 463, 46.3, 4.6, 0.02. Something that is not
// nothing never reads as 0.
func Rate(perSecond float64) string {
	switch {
	case perSecond == 0:
		return "0"
	case perSecond < 0.01:
		return "<" + nbsp + "0.01"
	case perSecond < 0.1:
		return strconv.FormatFloat(perSecond, 'f', 2, 64)
	case perSecond < 1000:
		return strconv.FormatFloat(perSecond, 'f', 1, 64)
	}
	return Count(int64(math.Round(perSecond)))
}

// Percent writes a share of a whole with two digits that count: 0.04, 1.9, 62.
// Something that is not nothing never reads as 0, and not all never as 100.
func Percent(part, whole int64) string {
	if whole <= 0 || part <= 0 {
		return "0"
	}
	if part >= whole {
		return "100"
	}
	share := float64(part) / float64(whole) * 100
	switch {
	case share < 0.01:
		return "<" + nbsp + "0.01"
	case share < 0.995:
		return strconv.FormatFloat(share, 'f', 2, 64)
	case share < 9.95:
		return strconv.FormatFloat(share, 'f', 1, 64)
	case share > 99.9:
		return ">" + nbsp + "99.9"
	case share > 99:
		return strconv.FormatFloat(math.Floor(share*10)/10, 'f', 1, 64)
	}
	return strconv.FormatFloat(share, 'f', 0, 64)
}

// Change writes how a number differs from what it was: +12 %, −3.4 %, × 14,
// new. It is a dash when both are nothing.
func Change(now, before int64) string {
	switch {
	case now == before && now == 0:
		return Dash
	case before <= 0:
		return "new"
	case now == before:
		return "0" + nbsp + "%"
	case now < before:
		return "−" + Percent(before-now, before) + nbsp + "%"
	case now/10 >= before:
		return "×" + nbsp + Count(now/before)
	case now-before >= before: // Percent stops at the whole
		return "+" + Count(int64(math.Round(float64(now-before)/float64(before)*100))) + nbsp + "%"
	}
	return "+" + Percent(now-before, before) + nbsp + "%"
}

// MillisBare writes a duration in milliseconds without the unit: 0.3, 11, 1,240.
func MillisBare(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d <= 0:
		return "0"
	case ms < 0.1:
		return strconv.FormatFloat(ms, 'f', 2, 64)
	case ms < 9.95:
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return Count(int64(math.Round(ms)))
}

// Millis writes a duration in milliseconds: 38 ms.
func Millis(d time.Duration) string { return MillisBare(d) + nbsp + "ms" }

// Bytes writes a size in decimal units: 1.2 MB.
func Bytes(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + nbsp + "B"
	}
	value, unit := float64(n), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB", "PB"} {
		if value < 999.5 {
			break
		}
		value, unit = value/1000, next
	}
	return threeDigits(value) + nbsp + unit
}

func threeDigits(value float64) string {
	switch {
	case value < 9.995:
		return strconv.FormatFloat(value, 'f', 2, 64)
	case value < 99.95:
		return strconv.FormatFloat(value, 'f', 1, 64)
	}
	return strconv.FormatFloat(value, 'f', 0, 64)
}

// Span writes a duration in its two largest units: 6 d 4 h, 18 min 4 s.
func Span(d time.Duration) string {
	units := []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, unit := range units {
		if d < unit.length {
			continue
		}
		text := fmt.Sprintf("%d%s%s", d/unit.length, nbsp, unit.name)
		if i+1 < len(units) {
			if rest := d % unit.length / units[i+1].length; rest > 0 {
				text += fmt.Sprintf(" %d%s%s", rest, nbsp, units[i+1].name)
			}
		}
		return text
	}
	return "less than a second"
}

// Window writes a limit's window as one says it: minute, hour, 10 minutes.
func Window(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d >= unit.length && d%unit.length == 0 {
			if n := d / unit.length; n > 1 {
				return fmt.Sprintf("%d%s%ss", n, nbsp, unit.name)
			}
			return unit.name
		}
	}
	return d.String()
}

// Ago writes how long ago something was, in words that static/files/js/page.js
// keeps up to date: "12 s ago".
func Ago(now, at time.Time) string {
	d := now.Sub(at)
	switch {
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d%ss ago", d/time.Second, nbsp)
	case d < time.Hour:
		return fmt.Sprintf("%d%smin ago", d/time.Minute, nbsp)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d%sh ago", d/time.Hour, nbsp)
	}
	return fmt.Sprintf("%d%sd ago", d/(24*time.Hour), nbsp)
}

// agoReach is how far back "… ago" is clearer than a date.
const agoReach = 30 * 24 * time.Hour

// Date writes a day: 31 Jan 2027.
func Date(at time.Time, zone *time.Location) string { return at.In(zone).Format("2 Jan 2006") }

// DateTime writes a minute: 24 Nov 2026, 14:05.
func DateTime(at time.Time, zone *time.Location) string {
	return at.In(zone).Format("2 Jan 2006, 15:04")
}

// Plural writes a count and its noun: "1 key", "4 keys".
func Plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + one + "s"
}

// Initials are the letters of a name for an avatar: "MO" for Mara Okafor.
func Initials(name string) string {
	words := strings.Fields(name)
	if len(words) == 0 {
		return "?"
	}
	first := []rune(words[0])[:1]
	if len(words) > 1 {
		first = append(first, []rune(words[len(words)-1])[0])
	}
	return strings.ToUpper(string(first))
}

// Money writes dollars with at least the cents when there are any: $49, $0.05.
func Money(dollars string) string {
	if whole, cents, ok := strings.Cut(dollars, "."); ok && len(cents) == 1 {
		return "$" + whole + "." + cents + "0"
	}
	return "$" + dollars
}

// Dollars writes micros as money: rounded to cents from a dollar on, with up to
// four decimals from a cent on, exact below: $12.35, $0.412, $0.0015.
func Dollars(micros int64) string {
	sign, abs := "", uint64(micros)
	if micros < 0 {
		sign, abs = "−", -abs
	}
	unit := uint64(1)
	switch {
	case abs >= 1_000_000:
		unit = 10_000
	case abs >= 10_000:
		unit = 100
	}
	abs = (abs + unit/2) / unit * unit
	cents := fmt.Sprintf("%06d", abs%1_000_000)
	for len(cents) > 2 && cents[len(cents)-1] == '0' {
		cents = cents[:len(cents)-1]
	}
	return sign + "$" + Count(int64(abs/1_000_000)) + "." + cents
}
