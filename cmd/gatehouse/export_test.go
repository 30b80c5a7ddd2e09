package main

import (
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/export"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// counted counts n requests of an organization in the terminal's installation.
func counted(t *testing.T, x *terminal, org string, n int) *store.Ledger {
	t.Helper()
	s, err := store.OpenLedger(t.Context(), store.Options{Path: filepath.Join(x.args[1], storeName)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	l, err := metering.Open(t.Context(), metering.Options{Store: s, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		ticket := l.Begin(app.Intent{At: time.Now(), Org: app.OrgID(org), Weight: 1})
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.Settle(ticket, app.Outcome{Status: 200})
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestUsageIsExportedByCommandLine(t *testing.T) {
	x := newTerminal(t)
	var org shownOrg
	x.do(&org, "org", "create", "Acme Inc")
	counted(t, x, org.ID, 5)

	var done struct{ Next, Records, Objects int64 }
	file := filepath.Join(t.TempDir(), "usage.csv")
	x.do(&done, "usage", "export", "--to", file)
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	table, err := csv.NewReader(strings.NewReader(string(body))).ReadAll()
	if err != nil || len(table) != 11 || done.Records != 10 || done.Next == 0 {
		t.Errorf("%d rows, %+v, %v", len(table), done, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	code, out, errs := x.run("", "usage", "export", "--to", "-")
	if code != exitOK || strings.Count(out, "\n") != 10 || !strings.Contains(out, `"org_id":"`+org.ID) || !strings.Contains(errs, "--after") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	folder := t.TempDir()
	x.do(&done, "usage", "export", "--to", folder, "--gzip")
	if found, _ := filepath.Glob(folder + "/*/*/*/usage-*.jsonl.gz"); len(found) != 1 || done.Objects != 1 || done.Records != 10 {
		t.Errorf("%v, %+v", found, done)
	}
	at := done.Next
	done.Objects = 0
	x.do(&done, "usage", "export", "--to", folder, "--after", "1000")
	if done.Objects != 0 || done.Next != 1000 {
		t.Errorf("after %d: %+v", at, done)
	}
	x.refused(exitInvalid, "standard output", "usage", "export", "--to", "-", "--json")
	x.refused(exitInvalid, "xml", "usage", "export", "--to", file, "--format", "xml")
	x.refused(exitInvalid, "export.s3.endpoint", "usage", "export", "--to", "s3://usage")
	x.refused(exitInvalid, "to", "usage", "export")

	server := storetest.NewS3(t)
	server.MakeBucket(t, "usage")
	x.env = []string{"GATEHOUSE_EXPORT_S3_ENDPOINT=" + server.Endpoint, "GATEHOUSE_EXPORT_S3_ACCESS_KEY=" + server.AccessKey,
		"GATEHOUSE_EXPORT_S3_SECRET_KEY=" + server.SecretKey}
	x.refused(exitUnavailable, "export.s3.allow_private", "usage", "export", "--to", "s3://usage/gate")
	x.env = append(x.env, "GATEHOUSE_EXPORT_S3_ALLOW_PRIVATE=true")
	x.do(&done, "usage", "export", "--to", "s3://usage/gate")
	if done.Objects != 1 || done.Records != 10 {
		t.Errorf("%+v", done)
	}
}

func TestStripeByCommandLine(t *testing.T) {
	x := newTerminal(t)
	var org shownOrg
	x.do(&org, "org", "create", "Acme Inc")
	var list struct{ Items []app.BillingCustomer }
	x.do(&list, "stripe", "customer", "set", "acme-inc", "cus_1")
	if len(list.Items) != 1 || list.Items[0].Customer != "cus_1" || string(list.Items[0].Org) != org.ID {
		t.Errorf("%+v", list)
	}
	x.refused(exitInvalid, "cus_", "stripe", "customer", "set", "acme-inc", "acct_1")
	x.refused(exitNotFound, "organization", "stripe", "customer", "set", "nobody", "cus_1")
	x.do(nil, "stripe", "customer", "remove", "acme-inc", "--yes")
	x.do(&list, "stripe", "customer", "list")
	if len(list.Items) != 0 {
		t.Errorf("%+v", list)
	}

	ledger := counted(t, x, org.ID, 5)
	parked := app.MeterEvent{Identifier: "gh_1", Org: app.OrgID(org.ID), Meter: "requests", EventName: "r", Value: 5, State: app.MeterEventParked, Reason: "No such meter"}
	if _, err := ledger.InsertMeterEvents(t.Context(), "stripe", app.ExportRange{Upto: 1}, []app.MeterEvent{parked}); err != nil {
		t.Fatal(err)
	}
	var status export.StripeStatus
	x.do(&status, "stripe", "status")
	if status.Parked != 1 || len(status.Troubles) != 1 || status.Cursor != 1 {
		t.Errorf("%+v", status)
	}
	if code, out, _ := x.run("", "stripe", "status"); code != exitOK || !strings.Contains(out, "No such meter") {
		t.Errorf("exit %d\n%s", code, out)
	}
	x.refused(exitNotFound, "meter event", "stripe", "retry", "gh_2")
	x.refused(exitInvalid, "--all", "stripe", "retry")
	x.do(nil, "stripe", "retry", "--all")
	x.do(&status, "stripe", "status")
	if status.Parked != 0 || status.Due != 1 {
		t.Errorf("%+v", status)
	}
}
