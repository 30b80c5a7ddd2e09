package metering

import (
	"context"
	"reflect"
	"testing"
	"time"

	"gatehouse/app"
)

// oneBlock is a ledger of one step.
type oneBlock struct {
	body []byte
	to   int64 // what the step says
}

func (s oneBlock) AppliedAfter(_ context.Context, after int64, _ int) ([]app.AppliedRange, error) {
	if after >= 7 {
		return nil, nil
	}
	return []app.AppliedRange{{N: 7, Replica: 3, From: 11, To: s.to, Bytes: int64(len(s.body))}}, nil
}

func (s oneBlock) Blocks(_ context.Context, _, after int64, _ int, each func(int64, []byte) error) error {
	if after > 11 {
		return nil
	}
	return each(12, s.body)
}

func exportable() *Block {
	at := time.Date(2026, 11, 24, 12, 20, 0, 0, time.UTC).UnixMilli()
	return &Block{Replica: 3, Seq: 12, Base: at,
		Series:  []Series{{Org: "org_1", Key: "key_1", Route: "api"}},
		Intents: []Intent{{At: at, Weight: 4}},
		Settles: []Settle{{IntentSeq: 9, Index: 2, Bucket: app.BucketStart(at), Status: 200, BytesIn: 1, BytesOut: 2, Micros: 3}},
		Meters:  []MeterSeries{{Org: "org_1", Key: "key_1", Route: "api", Meter: "pages", Dims: `{"a":"b"}`}, {Org: "org_2", Meter: "people", Unique: true}},
		Uses:    []Use{{At: at, Value: 5, Estimated: true}, {Series: 1, At: at, Value: -6}},
		Events:  []Event{{Org: "org_2", Key: "key_2", Source: "s", ID: "i", Type: "t", At: at, Received: at + 9}},
		Adjusts: []Adjust{{At: at, Value: -1, Reason: "r", By: "system:cli"}},
	}
}

func TestEachRecordOfABlockIsExported(t *testing.T) {
	var e encoder
	body, _ := e.encode(exportable())
	var got []app.ExportRecord
	next, err := Exporter{oneBlock{body, 12}}.Records(t.Context(), 0, 0, 0, func(r *app.ExportRecord) error {
		got = append(got, *r)
		return nil
	})
	if err != nil || next != 7 {
		t.Fatal(next, err)
	}
	at := time.Date(2026, 11, 24, 12, 20, 0, 0, time.UTC)
	want := []app.ExportRecord{
		{ID: "3-12-request-0", Kind: app.ExportRequest, At: at, Org: "org_1", Key: "key_1", Route: "api", Meter: "requests", Quantity: 4},
		{ID: "3-12-settle-0", Kind: app.ExportSettle, At: at.Add(-5 * time.Minute), Org: "org_1", Key: "key_1", Route: "api",
			Request: "3-9-request-2", Status: 200, BytesIn: 1, BytesOut: 2, Duration: 3 * time.Microsecond},
		{ID: "3-12-use-0", Kind: app.ExportUse, At: at, Org: "org_1", Key: "key_1", Route: "api", Meter: "pages", Dims: `{"a":"b"}`, Quantity: 5, Estimated: true},
		{ID: "3-12-use-1", Kind: app.ExportUse, At: at, Org: "org_2", Meter: "people", Quantity: -6, Unique: true},
		{ID: "3-12-event-0", Kind: app.ExportEvent, At: at, Org: "org_2", Key: "key_2", Source: "s", EventID: "i", EventType: "t", Received: at.Add(9 * time.Millisecond)},
		{ID: "3-12-adjust-0", Kind: app.ExportAdjust, At: at, Org: "org_1", Key: "key_1", Route: "api", Meter: "pages", Dims: `{"a":"b"}`, Quantity: -1, Reason: "r", By: "system:cli"},
	}
	for i := range want {
		want[i].N = 7
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// TestALedgerThatDoesNotHoldIsNotExported: an export ends, and says so, rather
// than leave something out.
func TestALedgerThatDoesNotHoldIsNotExported(t *testing.T) {
	var e encoder
	body, _ := e.encode(exportable())
	other := exportable()
	other.Seq = 13
	for what, s := range map[string]oneBlock{"a block is missing": {body, 13}, "a block was changed": {append([]byte{0}, body[1:]...), 12},
		"another block": {encoded(other), 12}} {
		next, err := Exporter{s}.Records(t.Context(), 0, 0, 0, func(*app.ExportRecord) error { return nil })
		if known := app.AsError(err); known == nil || known.Code != "ledger_damaged" || next != 0 {
			t.Errorf("%s: %d, %v", what, next, err)
		}
	}
}

func encoded(b *Block) []byte {
	var e encoder
	body, _ := e.encode(b)
	return body
}
