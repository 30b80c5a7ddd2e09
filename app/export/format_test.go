package export_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/export"
)

// records is a source of what a test wrote down; each record is a step.
type records []app.ExportRecord

func (s records) Range(_ context.Context, after, _ int64) (app.ExportRange, error) {
	r := app.ExportRange{After: after, Upto: after}
	if after < int64(len(s)) {
		r.Upto, r.At = int64(len(s)), noon
	}
	return r, nil
}

func (s records) Records(_ context.Context, after, upto int64, max int, each func(*app.ExportRecord) error) (int64, error) {
	for n := after; n < int64(len(s)) && (upto == 0 || n < upto) && (max == 0 || n-after < int64(max)); n++ {
		r := s[n]
		r.N = n + 1
		if err := each(&r); err != nil {
			return after, err
		}
		upto = min(upto, int64(len(s)))
		if n+1 == int64(len(s)) || n+1 == upto || max > 0 && n+1-after == int64(max) {
			return n + 1, nil
		}
	}
	return after, nil
}

var everyKind = records{
	{ID: "1-1-request-0", Kind: app.ExportRequest, At: noon, Org: "org_1", Key: "key_1", Route: "api", Meter: "requests"},
	{ID: "1-2-settle-0", Kind: app.ExportSettle, At: noon, Org: "org_1", Request: "1-1-request-0", Status: 200, BytesOut: 7, Duration: 1500 * time.Microsecond},
	{ID: "1-2-use-0", Kind: app.ExportUse, At: noon, Org: "org_1", Meter: "pages", Dims: `{"kind":"a4"}`, Quantity: -3, Estimated: true},
	{ID: "1-2-event-0", Kind: app.ExportEvent, At: noon, Org: "org_1", Source: "=1+1", EventID: "a,b\r\n\"c\"", EventType: "@x", Received: noon},
	{ID: "1-2-adjust-0", Kind: app.ExportAdjust, At: noon, Org: "org_1", Meter: "pages", Dims: "odd", Quantity: 5, Reason: "-2 too many", By: "system:cli"},
}

func TestLines(t *testing.T) {
	var body bytes.Buffer
	next, err := (&export.Service{Source: everyKind}).Write(t.Context(), system, &body, 0, "jsonl", 0)
	want := `{"id":"1-1-request-0","n":1,"kind":"request","at":"2026-11-24T12:00:00.000Z","org_id":"org_1","key_id":"key_1","route_id":"api","meter":"requests","quantity":0}
{"id":"1-2-settle-0","n":2,"kind":"settle","at":"2026-11-24T12:00:00.000Z","org_id":"org_1","request":"1-1-request-0","status":200,"bytes_in":0,"bytes_out":7,"duration_us":1500}
{"id":"1-2-use-0","n":3,"kind":"use","at":"2026-11-24T12:00:00.000Z","org_id":"org_1","meter":"pages","dims":{"kind":"a4"},"quantity":-3,"estimated":true}
{"id":"1-2-event-0","n":4,"kind":"event","at":"2026-11-24T12:00:00.000Z","org_id":"org_1","source":"=1+1","event_id":"a,b\r\n\"c\"","event_type":"@x","received_at":"2026-11-24T12:00:00.000Z"}
{"id":"1-2-adjust-0","n":5,"kind":"adjust","at":"2026-11-24T12:00:00.000Z","org_id":"org_1","meter":"pages","dims":"odd","quantity":5,"reason":"-2 too many","by":"system:cli"}
`
	if err != nil || next != 5 || body.String() != want {
		t.Errorf("%d, %v\n%s", next, err, body.String())
	}
}

// TestCellsRunNothing reads the CSV back, as a spreadsheet would.
func TestCellsRunNothing(t *testing.T) {
	var body bytes.Buffer
	if _, err := (&export.Service{Source: everyKind}).Write(t.Context(), system, &body, 0, "csv", 0); err != nil {
		t.Fatal(err)
	}
	table, err := csv.NewReader(strings.NewReader(body.String())).ReadAll()
	if err != nil || len(table) != 6 || len(table[0]) != 23 {
		t.Fatalf("%d rows, %v", len(table), err)
	}
	at := map[string]int{}
	for i, name := range table[0] {
		at[name] = i
	}
	for _, c := range []struct {
		row          int
		column, want string
	}{
		{1, "quantity", "0"}, {1, "status", ""}, {2, "status", "200"}, {2, "quantity", ""}, {2, "duration_us", "1500"},
		{3, "quantity", "-3"}, {3, "dims", `{"kind":"a4"}`}, {3, "estimated", "true"},
		{4, "source", "'=1+1"}, {4, "event_type", "'@x"}, {4, "event_id", "a,b\n\"c\""}, {5, "reason", "'-2 too many"},
	} {
		if got := table[c.row][at[c.column]]; got != c.want {
			t.Errorf("row %d, %s: %q, want %q", c.row, c.column, got, c.want)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestAFailedWriteKeepsTheCursor(t *testing.T) {
	next, err := (&export.Service{Source: everyKind}).Write(t.Context(), system, brokenPipe{}, 0, "csv", 0)
	if err == nil || next != 0 {
		t.Errorf("%d, %v", next, err)
	}
}

// BenchmarkRecord is what one exported record costs, without reading it.
func BenchmarkRecord(b *testing.B) {
	for _, format := range export.Formats() {
		b.Run(format, func(b *testing.B) {
			many := make(records, 1000)
			for i := range many {
				many[i] = everyKind[i%len(everyKind)]
			}
			for b.Loop() {
				if _, err := (&export.Service{Source: many}).Write(b.Context(), system, io.Discard, 0, format, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(many)), "ns/record")
		})
	}
}
