package main

import (
	"strings"
	"testing"
)

func TestQuotasAndTheirMetersByCommandLine(t *testing.T) {
	x := newTerminal(t)
	give := func(want int, text, stdin string, args ...string) {
		t.Helper()
		if code, out, errs := x.run(stdin, args...); code != want || !strings.Contains(out+errs, text) {
			t.Errorf("%v: exit %d, want %d with %q\n%s%s", args, code, want, text, out, errs)
		}
	}
	plan := func(meter string) string {
		return "plans:\n- {slug: metered, name: Metered, quotas: [{meter: " + meter + ", limit: 5, period: month}]}\n"
	}
	meters := "meters:\n- {slug: pages, name: Pages, aggregation: sum, event_type: t, value: pages}\n" +
		"- {slug: visitors, name: Visitors, aggregation: unique, event_type: t, value: user}\n"
	give(exitOK, "created", meters, "meter", "apply", "-f", "-")
	give(exitInvalid, "its aggregation is unique; name a meter that counts or sums", plan("visitors"), "plan", "apply", "-f", "-")
	give(exitInvalid, `there is no meter "nothing"`, plan("nothing"), "plan", "apply", "-f", "-")
	give(exitOK, "created", plan("pages"), "plan", "apply", "-f", "-")
	give(exitConflict, "the plan metered", "", "meter", "delete", "pages", "--yes")
	give(exitConflict, "the plan metered", strings.Replace(meters, "sum", "max", 1), "meter", "apply", "-f", "-")
	give(exitOK, "removed", "", "plan", "delete", "metered", "--yes")
	give(exitOK, "removed", "", "meter", "delete", "pages", "--yes")
}
