package ui

import (
	"testing"
	"time"
)

func TestNumbersReadAsPeopleWriteThem(t *testing.T) {
	clean := func(text string) string {
		out := []rune(text)
		for i, r := range out {
			if r == '\u00a0' {
				out[i] = ' '
			}
		}
		return string(out)
	}
	for _, row := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(1_670_312), "1,670,312"}, {Count(-12345), "−12,345"},
		{Short(8095), "8,095"}, {Short(16_700), "16.7 k"}, {Short(1_670_312), "1.67 M"}, {Short(999_999), "1.00 M"},
		{Rate(0), "0"}, {Rate(.0001), "< 0.01"}, {Rate(.02), "0.02"}, {Rate(46.34), "46.3"}, {Rate(12_345.6), "12,346"},
		{Percent(0, 0), "0"}, {Percent(0, 9), "0"}, {Percent(1, 1_000_000), "< 0.01"}, {Percent(4, 10_000), "0.04"}, {Percent(19, 1000), "1.9"}, {Percent(62, 100), "62"},
		{Percent(9999, 10_000), "> 99.9"}, {Percent(994, 1000), "99.4"}, {Percent(7, 7), "100"}, {Percent(8, 7), "100"},
		{Millis(0), "0 ms"}, {Millis(50 * time.Microsecond), "0.05 ms"}, {Millis(300 * time.Microsecond), "0.3 ms"}, {Millis(38 * time.Millisecond), "38 ms"}, {Millis(1240 * time.Millisecond), "1,240 ms"},
		{Bytes(999), "999 B"}, {Bytes(1000), "1.00 kB"}, {Bytes(23_400_000), "23.4 MB"}, {Bytes(1_500_000_000_000), "1.50 TB"},
		{Span(148 * time.Hour), "6 d 4 h"}, {Span(18*time.Minute + 4*time.Second), "18 min 4 s"}, {Span(24 * time.Hour), "1 d"}, {Span(0), "less than a second"},
		{Window(time.Minute), "minute"}, {Window(time.Hour), "hour"}, {Window(10 * time.Minute), "10 minutes"}, {Window(24 * time.Hour), "day"}, {Window(90 * time.Second), "90 seconds"},
		{Plural(1, "key"), "1 key"}, {Plural(0, "key"), "0 keys"}, {Plural(1200, "key"), "1,200 keys"},
		{Initials("Mara Okafor"), "MO"}, {Initials("  "), "?"}, {Initials("élan"), "É"}, {Initials("شركة النسيم"), "شا"},
		{Money("49"), "$49"}, {Money("0.05"), "$0.05"}, {Money("6.5"), "$6.50"},
	} {
		if got := clean(row.got); got != row.want {
			t.Errorf("got %q, want %q", got, row.want)
		}
	}
}

func TestAgoSaysHowLongAgo(t *testing.T) {
	now := time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]string{-time.Second: "just now", 0: "just now", 12 * time.Second: "12\u00a0s ago", 59 * time.Minute: "59\u00a0min ago", 3 * time.Hour: "3\u00a0h ago", 50 * time.Hour: "2\u00a0d ago"} {
		if got := Ago(now, now.Add(-ago)); got != want {
			t.Errorf("%v ago reads %q, want %q", ago, got, want)
		}
	}
}

func TestPathsEscapeWhatTheyHold(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{Org("acme", ""), "/console/orgs/acme"}, {Org("acme", "usage"), "/console/orgs/acme/usage"}, {Org("../x?y", "keys"), "/console/orgs/..%2Fx%3Fy/keys"},
		{Keys(""), PathKeys}, {Key("", "key_1", "secret"), PathKeys + "/key_1/secret"}, {Key("acme", "key_1", ""), "/console/orgs/acme/keys/key_1"},
		{With(PathOrgs, "q", "", "plan", "pro"), PathOrgs + "?plan=pro"}, {With(PathOrgs, "q", ""), PathOrgs}, {With(PathOrgs, "q", "a&b=c"), PathOrgs + "?q=a%26b%3Dc"},
		{Claim("gl_x"), "/claim?token=gl_x"},
	} {
		if row.got != row.want {
			t.Errorf("got %q, want %q", row.got, row.want)
		}
	}
}

func TestDollars(t *testing.T) {
	for micros, want := range map[int64]string{0: "$0.00", 1500: "$0.0015", 1: "$0.000001", 412_000: "$0.412", 771_314: "$0.7713", 999_960: "$1.00", 12_345_000: "$12.35", 12_344_999: "$12.34",
		1_007_500_000: "$1,007.50", -3_000_000: "−$3.00", -9223372036854775808: "−$9,223,372,036,854.78"} {
		if got := Dollars(micros); got != want {
			t.Errorf("%d micros read %s, not %s", micros, got, want)
		}
	}
}

func TestPercentOf(t *testing.T) {
	for _, row := range []struct{ part, limit, want int64 }{{0, 0, 0}, {1, 0, 100}, {-5, 10, 0}, {799, 1000, 79}, {800, 1000, 80}, {2000, 1000, 200}, {1 << 62, 1 << 62, 99}, {3, 9, 33}} {
		if got := PercentOf(row.part, row.limit); got != row.want {
			t.Errorf("%d of %d are %d %%, not %d", row.part, row.limit, got, row.want)
		}
	}
}
