package ui

// Fuse is a gauge of something that runs out: what is used of a limit.
type Fuse struct {
	Title   string // "Requests"
	Used    string // "71"
	Of      string // "of 100 this minute"
	Percent int64  // used, in percent of the limit; may pass 100
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

func (f Fuse) tone() string {
	switch f.level() {
	case "bad":
		return "down"
	case "warn":
		return "near"
	}
	return "soft"
}

func (f Fuse) width() int64 { return max(0, min(f.Percent, 100)) }
