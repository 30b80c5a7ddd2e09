package export_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/export"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// line is what the tests read of an exported record.
type line struct {
	ID       string
	N        int64
	Kind     string
	Org      string `json:"org_id"`
	Meter    string
	Quantity int64
	Request  string
	Status   int
	BytesIn  int64 `json:"bytes_in"`
	BytesOut int64 `json:"bytes_out"`
}

// sums are what exported records add up to.
type sums struct {
	requests, weight, settled, bytesIn, bytesOut, pages int64
	ids                                                 map[string]bool
}

// add reads JSON Lines and fails when a record comes twice or out of order.
func (s *sums) add(t testing.TB, body []byte) {
	t.Helper()
	if s.ids == nil {
		s.ids = map[string]bool{}
	}
	last := int64(0)
	for text := range strings.Lines(string(body)) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		if s.ids[l.ID] {
			t.Errorf("%s comes twice", l.ID)
		}
		if l.N < last {
			t.Errorf("%s of step %d after step %d", l.ID, l.N, last)
		}
		s.ids[l.ID], last = true, l.N
		switch l.Kind {
		case "request":
			s.requests++
			s.weight += l.Quantity
		case "settle":
			s.settled++
			s.bytesIn += l.BytesIn
			s.bytesOut += l.BytesOut
			if l.Request == "" || l.Status != 200 {
				t.Errorf("an outcome without its request or status: %s", text)
			}
		case "use":
			if l.Meter == "pages" {
				s.pages += l.Quantity
			}
		}
	}
}

// equal compares with what the usage buckets and the meters say.
func (s *sums) equal(t testing.TB, l *store.Ledger) {
	t.Helper()
	rows, err := metering.Reports{Store: l}.Usage(t.Context(), system, app.UsageQuery{Since: noon.Add(-time.Hour), Until: noon.Add(24 * time.Hour)})
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	got := fmt.Sprint(s.requests, s.weight, s.settled, s.bytesIn, s.bytesOut)
	r := rows[0]
	if want := fmt.Sprint(r.Requests, r.Weight, r.Status2, r.BytesIn, r.BytesOut); got != want {
		t.Errorf("exported %s, the buckets hold %s", got, want)
	}
	pages := int64(0)
	err = l.WalkLedger(t.Context(), app.LedgerWalk{
		Replicas: func([]app.LedgerReplica) error { return nil },
		Block:    func(int64, int64, []byte) error { return nil },
		Bucket:   func(app.UsageBucket) error { return nil },
		Meter: func(b app.MeterBucket) error {
			if b.Meter == "pages" {
				pages += b.Sum
			}
			return nil
		}})
	if err != nil || s.pages != pages {
		t.Errorf("exported %d pages, the meters hold %d; %v", s.pages, pages, err)
	}
}

// TestExportedIsCounted exports while two replicas count, from a cursor that
// goes on where the last one stopped, and compares with the buckets.
func TestExportedIsCounted(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		service := &export.Service{Source: metering.Exporter{Store: s}}
		first, second := openMeter(t, s), openMeter(t, s)
		var (
			wait    sync.WaitGroup
			sums    sums
			cursor  int64
			stopped = make(chan struct{})
			pull    = func() bool {
				var body bytes.Buffer
				next, err := service.Write(t.Context(), system, &body, cursor, "jsonl", 100)
				if err != nil {
					t.Error(err)
				}
				sums.add(t, body.Bytes())
				moved := next > cursor
				cursor = next
				return moved
			}
		)
		wait.Go(func() { traffic(t, first, 100, "org_1", "org_2") })
		wait.Go(func() { traffic(t, second, 100, "org_1", "org_3") })
		go func() { wait.Wait(); close(stopped) }()
		for running := true; running; {
			select {
			case <-stopped:
				running = false
			default:
				pull()
			}
		}
		closeMeter(t, first)
		closeMeter(t, second)
		for pull() {
		}
		if sums.requests != 400 {
			t.Errorf("%d requests, want 400", sums.requests)
		}
		sums.equal(t, s)
	})
}

// TestTheSameCursorGivesTheSameBytes in both formats, from another process too.
func TestTheSameCursorGivesTheSameBytes(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		for range 3 { // three runs, so several steps
			l := openMeter(t, s)
			traffic(t, l, 20, "org_1")
			closeMeter(t, l)
		}
		other := &export.Service{Source: metering.Exporter{Store: openLedger(t, o)}}
		for _, format := range export.Formats() {
			var whole, again, parts bytes.Buffer
			end, err := (&export.Service{Source: metering.Exporter{Store: s}}).Write(t.Context(), system, &whole, 0, format, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.Write(t.Context(), system, &again, 0, format, 0); err != nil || !bytes.Equal(whole.Bytes(), again.Bytes()) {
				t.Errorf("%s: another process gives other bytes, %v", format, err)
			}
			steps := 0
			for cursor := int64(0); cursor < end; steps++ {
				if cursor, err = other.Write(t.Context(), system, &parts, cursor, format, 1); err != nil {
					t.Fatal(err)
				}
			}
			if steps < 3 || format == "jsonl" && !bytes.Equal(whole.Bytes(), parts.Bytes()) {
				t.Errorf("%s: %d parts are not the whole", format, steps)
			}
		}
	})
}

func TestWhoMayExport(t *testing.T) {
	s := &export.Service{Source: metering.Exporter{Store: openLedger(t, store.Options{Path: t.TempDir() + "/gatehouse.db"})}}
	for _, c := range []struct {
		who   string
		actor app.Actor
		ok    bool
	}{
		{"anonymous", app.Actor{Kind: app.ActorAnonymous}, false},
		{"an organization's key", app.Actor{Kind: app.ActorKey, OrgID: "org_1", Scopes: []string{"usage:read"}}, false},
		{"an operator with another scope", app.Actor{Kind: app.ActorOperator, Scopes: []string{"orgs:read"}}, false},
		{"an operator", app.Actor{Kind: app.ActorOperator, Scopes: []string{"usage:read"}}, true},
		{"the system", system, true},
	} {
		var body bytes.Buffer
		if _, err := s.Write(t.Context(), c.actor, &body, 0, "csv", 0); (err == nil) != c.ok || err != nil && body.Len() > 0 {
			t.Errorf("%s: %v, %d bytes", c.who, err, body.Len())
		}
	}
	for _, c := range []struct {
		after  int64
		format string
	}{{-1, "csv"}, {0, "xml"}} {
		if _, err := s.Write(t.Context(), system, &bytes.Buffer{}, c.after, c.format, 0); !app.IsKind(err, app.KindInvalid) {
			t.Errorf("%v: %v", c, err)
		}
	}
}
