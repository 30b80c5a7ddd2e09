package ui

import "math"

// Fuse is a gauge of something that runs out: what is used of a limit.
type Fuse struct {
	Title   string // "Requests"
	Used    string // "71"
	Of      string // "of 100 this minute"
	Percent int64  // used, in percent of the limit; may pass 100
	Some    bool   // something is used, however small a part
	Held    int64  // reserved beyond what is used, in percent of the limit
	Note    string // "Refills at 1.7 a second."
	Bare    bool   // no limit: only the number
}

// level is the class of what is used: the ladder warns at 80 % and stops at 100 %.
func (f Fuse) level() string {
	switch {
	case f.Percent >= 100:
		return "bad"
	case f.Percent >= 80:
		return "warn"
	}
	return ""
}

// Tone is the class of its text.
func (f Fuse) Tone() string {
	switch f.level() {
	case "bad":
		return "down"
	case "warn":
		return "near"
	}
	return "soft"
}

// Share writes the percentage. Something that is not nothing never reads as 0.
func (f Fuse) Share() string {
	if f.Percent == 0 && f.Some {
		return "<" + nbsp + "1" + nbsp + "%"
	}
	return Count(f.Percent) + nbsp + "%"
}

func (f Fuse) width() int64 {
	if f.Percent == 0 && f.Some {
		return 1
	}
	return max(0, min(f.Percent, 100))
}

func (f Fuse) held() int64 { return max(0, min(f.Held, 100-f.width())) }

// PercentOf is the share of a limit in whole percent, rounded down; something
// of nothing is all of it.
func PercentOf(part, limit int64) int64 {
	switch {
	case part <= 0:
		return 0
	case limit <= 0:
		return 100
	case part > math.MaxInt64/100:
		return part / (limit/100 + 1)
	}
	return part * 100 / limit
}
