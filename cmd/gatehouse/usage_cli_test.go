package main

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/app"
)

func TestQuotasByCommandLine(t *testing.T) {
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme", "--slug", "acme", "--plan", "free")
	var set app.QuotaOverride
	x.do(&set, "quota", "set", "--org", "acme", "--meter", "cost", "--limit", "$25", "--grace", "5", "--reason", "agreed")
	if set.Limit != 25*app.Micros || set.Period != app.PeriodMonth || set.Grace != 5 {
		t.Errorf("set %+v", set)
	}
	code, out, errs := x.run("", "quota", "list", "--org", "acme")
	if code != exitOK || !strings.Contains(out, "$25") || !strings.Contains(out, "stops at +5 %") {
		t.Errorf("list: %d %s%s", code, out, errs)
	}
	x.refused(exitInvalid, "'$25'", "quota", "set", "--org", "acme", "--meter", "cost", "--limit", "25")
	x.refused(exitInvalid, "'$25'", "quota", "set", "--org", "acme", "--meter", "requests", "--limit", "$25")
	x.refused(exitNotFound, "no such key", "quota", "set", "--org", "acme", "--meter", "requests", "--limit", "1", "--key", "key_other")
	x.do(nil, "quota", "unset", "--org", "acme", "--meter", "cost")
	x.refused(exitNotFound, "no such", "quota", "unset", "--org", "acme", "--meter", "cost")
}

func TestMetersAndRatesByCommandLine(t *testing.T) {
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme", "--slug", "acme")
	const meters = "meters:\n- {slug: pages, name: Pages, aggregation: sum, event_type: doc, value: pages, dimensions: [format]}\n"
	if code, out, errs := x.run(meters, "meter", "apply", "-f", "-"); code != exitOK || !strings.Contains(out, "pages") {
		t.Fatalf("apply: %d %s%s", code, out, errs)
	}
	var meter app.Meter
	x.do(&meter, "meter", "show", "pages")
	if meter.Value != "pages" {
		t.Errorf("shown %+v", meter)
	}
	const rates = "rates: [{model: \"zz*\", input: \"1\", output: \"2\", valid_from: \"2026-01-01T00:00:00Z\"}]"
	if code, _, errs := x.run(rates, "rate", "apply", "-f", "-"); code != exitOK {
		t.Fatalf("apply: %d %s", code, errs)
	}
	var list rateFile
	if x.do(&list, "rate", "list", "--model", "zz"); len(list.Rates) != 1 {
		t.Errorf("listed %+v", list)
	}
	x.do(nil, "rate", "delete", "zz*", "--valid-from", "2026-01-01", "--yes")
	x.do(nil, "meter", "delete", "pages", "--yes")
	x.refused(exitNotFound, "no such meter", "meter", "show", "pages")
}

func TestUsageIsCorrectedReportedAndProven(t *testing.T) {
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme", "--slug", "acme")
	x.refused(exitInvalid, "reason", "usage", "adjust", "--org", "acme", "--meter", "agent_minutes", "--value", "7", "--yes")
	x.refused(exitRefused, "for ever", "usage", "adjust", "--org", "acme", "--meter", "agent_minutes", "--value", "7", "--reason", "test")
	x.do(nil, "usage", "adjust", "--org", "acme", "--meter", "agent_minutes", "--value", "7", "--dimension", "task==cmd|calc",
		"--reason", "test", "--yes")
	code, out, errs := x.run("", "usage", "report", "--meter", "agent_minutes", "--group", "task", "--csv", "--until", "2099-01-01", "--since", "2098-12-01")
	if code != exitOK || strings.TrimSpace(out) != "start,task,value,estimated" {
		t.Errorf("a report of the future: %d %q %s", code, out, errs)
	}
	code, out, _ = x.run("", "usage", "report", "--meter", "agent_minutes", "--group", "task", "--csv", "--tz", "Asia/Kolkata")
	if code != exitOK || !strings.Contains(out, "+05:30,'=cmd|calc,7,0\r\n") {
		t.Errorf("a formula is harmless: %d %q", code, out)
	}
	unlock, err := lockDataDir(&Config{DataDir: x.args[1]})
	if err != nil {
		t.Fatal(err)
	}
	x.refused(exitConflict, "POST /v1/usage/adjustments", "usage", "adjust", "--org", "acme", "--meter", "cost", "--value", "$1", "--reason", "x", "--yes")
	unlock()
	x.refused(exitInvalid, "exclude", "usage", "report", "--meter", "cost", "--csv", "--json")
	var proof proofDocument
	if x.do(&proof, "usage", "verify"); !proof.OK || proof.Corrected != 1 {
		t.Errorf("proof %+v", proof)
	}
	if code, out, _ := x.run("", "usage", "verify"); code != exitOK || strings.Count(out, "✓") != 9 || strings.Contains(out, "✗") {
		t.Errorf("verified: %d\n%s", code, out)
	}
}

func TestALedgerThatDoesNotHoldHasItsExitCode(t *testing.T) {
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme", "--slug", "acme")
	x.do(nil, "usage", "adjust", "--org", "acme", "--meter", "agent_minutes", "--value", "7", "--reason", "test", "--yes")
	spoilUsage(t, x.args[1])
	code, out, errs := x.run("", "usage", "verify")
	if code != exitUnproven || !strings.Contains(out, "✗ usage of meters") || !strings.Contains(errs, "contradicts itself") {
		t.Errorf("verify: exit %d\n%s%s", code, out, errs)
	}
}

// spoilUsage changes a sum that was kept, as no program of ours would.
func spoilUsage(t *testing.T, dataDir string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dataDir, "usage.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE usage_meter SET sum = sum + 1`); err != nil {
		t.Fatal(err)
	}
}
