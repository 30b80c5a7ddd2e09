package export_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/export"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// created knows organizations, all from before the tests' usage.
type created struct{ at time.Time }

func (c created) Org(_ context.Context, id app.OrgID) (app.Org, error) {
	if id == "org_none" {
		return app.Org{}, app.NotFound("organization")
	}
	return app.Org{ID: id, CreatedAt: c.at}, nil
}

func newOwn(t *testing.T, s *store.Ledger, at time.Time) *export.Own {
	t.Helper()
	sealer, err := app.NewSealer(make([]byte, app.SealKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return &export.Own{Source: metering.OrgExporter{Store: s}, Orgs: created{at}, Sealing: sealer}
}

func member(org app.OrgID) app.Actor {
	return app.Actor{Kind: app.ActorKey, OrgID: org, ID: "key_1", KeyID: "key_1"}
}

// known is what a record says without the names of its own.
type known struct {
	Kind, At, Org, Meter string
	Quantity             int64
}

func (k *known) UnmarshalJSON(raw []byte) error {
	var l struct {
		Kind, At, Meter string
		Org             string `json:"org_id"`
		Quantity        int64
	}
	err := json.Unmarshal(raw, &l)
	*k = known{l.Kind, l.At, l.Org, l.Meter, l.Quantity}
	return err
}

// readAll reads an organization's records page by page.
func readAll(t *testing.T, own *export.Own, q export.PageQuery) (records []known, text string, last export.Page) {
	t.Helper()
	q.Format = export.FormatJSONL
	for pages := 0; !last.End; pages++ {
		p, err := own.Page(t.Context(), member(q.Org), q)
		if err != nil || pages > 10_000 {
			t.Fatal(err, pages)
		}
		n := 0
		for row := range strings.Lines(string(p.Body)) {
			var k known
			if err := json.Unmarshal([]byte(row), &k); err != nil {
				t.Fatal(err)
			}
			records, n = append(records, k), n+1
		}
		if q.Max > 0 && n > q.Max {
			t.Fatalf("%d records on a page of %d", n, q.Max)
		}
		text += string(p.Body)
		last, q.After, q.Since = p, p.Next, time.Time{}
	}
	return records, text, last
}

// all are everybody's records of one organization.
func all(t *testing.T, s *store.Ledger, org app.OrgID) (records []known) {
	t.Helper()
	var ids []string
	_, err := metering.Exporter{Store: s}.Records(t.Context(), 0, 0, 0, func(r *app.ExportRecord) error {
		ids = append(ids, r.ID)
		if r.Org == org {
			records = append(records, known{string(r.Kind), r.At.Format("2006-01-02T15:04:05.000Z"), string(r.Org), r.Meter, r.Quantity})
		}
		return nil
	})
	if err != nil || len(ids) == 0 {
		t.Fatal(err, len(ids))
	}
	return records
}

func TestAnOrganizationExportsItsOwnRecords(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		own := newOwn(t, s, noon.Add(-time.Hour))
		for range 3 {
			l := openMeter(t, s)
			traffic(t, l, 20, "org_a", "org_b", "org_c")
			adjust := metering.Adjuster{Ledger: l}
			if err := adjust.Adjust(t.Context(), system, app.Adjustment{Org: "org_a", Meter: app.MeterCost, At: noon, Value: -3, Reason: "secret reason"}); err != nil {
				t.Fatal(err)
			}
			closeMeter(t, l)
		}
		want := all(t, s, "org_a")
		for _, max := range []int{0, 1, 7, 10_000} {
			got, text, last := readAll(t, own, export.PageQuery{Org: "org_a", Max: max})
			if !slices.Equal(got, want) {
				t.Errorf("pages of %d: %d records, want %d", max, len(got), len(want))
			}
			for _, foreign := range []string{"org_b", "org_c", "secret", `"n":`, `"by":`, `"reason":`, "-request-"} {
				if strings.Contains(text, foreign) {
					t.Errorf("pages of %d tell of %s", max, foreign)
				}
			}
			if again, _, _ := readAll(t, own, export.PageQuery{Org: "org_a", After: last.Next}); len(again) != 0 {
				t.Errorf("%d records come after the end", len(again))
			}
		}
		// What is counted later comes after the cursor, and ids stay.
		_, text, last := readAll(t, own, export.PageQuery{Org: "org_a", Max: 50})
		l := openMeter(t, s)
		traffic(t, l, 2, "org_a", "org_b")
		closeMeter(t, l)
		if more, _, _ := readAll(t, own, export.PageQuery{Org: "org_a", After: last.Next}); len(more) != 6 { // requests, ends and uses
			t.Errorf("%d new records", len(more))
		}
		if _, longer, _ := readAll(t, own, export.PageQuery{Org: "org_a"}); !strings.HasPrefix(longer, text) {
			t.Error("the same records have other names the next time")
		}
		ids := map[string]bool{}
		for row := range strings.Lines(text) {
			var r struct{ ID, Kind, Request string }
			if err := json.Unmarshal([]byte(row), &r); err != nil || ids[r.ID] || r.ID == "" {
				t.Fatalf("%v: %s", err, row)
			}
			ids[r.ID] = true
			if r.Kind == "settle" && !ids[r.Request] {
				t.Errorf("the request of %s is not there", row)
			}
		}
	})
}

// TestAPageEndsWhereItIsCut stops after every few bytes of blocks.
func TestAPageEndsWhereItIsCut(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		for range 2 {
			l := openMeter(t, s)
			traffic(t, l, 10, "org_a", "org_b")
			closeMeter(t, l)
		}
		want := all(t, s, "org_a")
		for _, cut := range []struct {
			bytes int64
			max   int
		}{{1, 1000}, {1, 1}, {700, 3}} {
			var got []known
			var place app.ExportPlace
			for end := false; !end; {
				var err error
				before := place
				place, end, err = metering.OrgExporter{Store: s}.Records(t.Context(), "org_a", place, cut.bytes, cut.max, func(r *app.ExportRecord) error {
					got = append(got, known{string(r.Kind), r.At.Format("2006-01-02T15:04:05.000Z"), string(r.Org), r.Meter, r.Quantity})
					return nil
				})
				if err != nil || !end && place == before {
					t.Fatalf("%+v: %v at %+v", cut, err, place)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v: %d records, want %d", cut, len(got), len(want))
			}
		}
	})
}

func TestWhoMayExportWhat(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		l := openMeter(t, s)
		traffic(t, l, 3, "org_a", "org_b")
		closeMeter(t, l)
		own := newOwn(t, s, noon.Add(-time.Hour))
		ask := func(actor app.Actor, change func(*export.PageQuery)) string {
			q := export.PageQuery{Org: "org_a", Format: export.FormatJSONL}
			if change != nil {
				change(&q)
			}
			if _, err := own.Page(t.Context(), actor, q); err != nil {
				return app.AsError(err).Code
			}
			return "ok"
		}
		cursor := func(org app.OrgID) string {
			p, err := own.Page(t.Context(), member(org), export.PageQuery{Org: org, Format: export.FormatCSV})
			if err != nil {
				t.Fatal(err)
			}
			return p.Next
		}
		mine, theirs := cursor("org_a"), cursor("org_b")
		after := func(cursor string) func(*export.PageQuery) {
			return func(q *export.PageQuery) { q.After = cursor }
		}
		operator := func(scope string) app.Actor {
			return app.Actor{Kind: app.ActorOperator, ID: "opr_1", Scopes: []string{scope}}
		}
		for i, c := range []struct {
			who    app.Actor
			change func(*export.PageQuery)
			want   string
		}{
			{app.Actor{Kind: app.ActorAnonymous}, nil, "forbidden"},
			{app.Actor{Kind: app.ActorAnonymous, OrgID: "org_a"}, nil, "forbidden"},
			{member("org_b"), nil, "not_found"},
			{app.Actor{Kind: app.ActorUser, OrgID: "org_b"}, nil, "not_found"},
			{operator("usage:write"), nil, "forbidden"},
			{operator("usage:read"), nil, "ok"},
			{member("org_a"), nil, "ok"},
			{member("org_a"), after(mine), "ok"},
			{member("org_a"), after(theirs), "invalid_input"},
			{member("org_a"), after("4711"), "invalid_input"},
			{member("org_a"), after(mine[1:]), "invalid_input"},
			{member("org_a"), after(strings.Repeat("A", 100_000)), "invalid_input"},
			{member("org_a"), func(q *export.PageQuery) { q.After, q.Since = mine, noon }, "invalid_input"},
			{member("org_a"), func(q *export.PageQuery) { q.Format = "xml" }, "invalid_input"},
			{member("org_a"), func(q *export.PageQuery) { q.Max = 10_001 }, "invalid_input"},
			{operator("usage:read"), func(q *export.PageQuery) { q.Org = "org_none" }, "not_found"},
		} {
			if got := ask(c.who, c.change); got != c.want {
				t.Errorf("row %d: %v gets %s, want %s", i, c.who, got, c.want)
			}
		}
	})
}

// slow is a source that waits until it is let go.
type slow struct{ entered, leave chan struct{} }

func (s slow) Since(context.Context, time.Time) (app.ExportPlace, error) {
	return app.ExportPlace{}, nil
}

func (s slow) Records(context.Context, app.OrgID, app.ExportPlace, int64, int, func(*app.ExportRecord) error) (p app.ExportPlace, end bool, err error) {
	s.entered <- struct{}{}
	<-s.leave
	return p, true, nil
}

func TestOnePageAtATime(t *testing.T) {
	s := slow{make(chan struct{}, 10), make(chan struct{})}
	own := newOwn(t, nil, noon)
	own.Source = s
	page := func(org app.OrgID) error {
		_, err := own.Page(t.Context(), member(org), export.PageQuery{Org: org, Format: export.FormatJSONL})
		return err
	}
	done := make(chan error, 4)
	for i := range 4 {
		go func() { done <- page(app.OrgID(fmt.Sprintf("org_%d", i))) }()
		<-s.entered
	}
	for _, org := range []app.OrgID{"org_0", "org_9"} { // its own runs; too many run
		if err := app.AsError(page(org)); err == nil || err.Code != "export_busy" || err.Kind != app.KindRateLimited || err.RetryAfter <= 0 {
			t.Errorf("%s: %v", org, err)
		}
	}
	close(s.leave)
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := page("org_9"); err != nil {
		t.Errorf("when the others are through: %v", err)
	}
}

// TestAnExportBeginsWithItsOrganization does not read what came before it.
func TestAnExportBeginsWithItsOrganization(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		at := noon
		o.Now = func() time.Time { return at }
		s := openLedger(t, o)
		for range 5 {
			l := openMeter(t, s)
			traffic(t, l, 2, "org_a")
			closeMeter(t, l)
			at = at.Add(24 * time.Hour)
		}
		end, err := s.AppliedEnd(t.Context())
		if err != nil || end < 5 {
			t.Fatal(end, err)
		}
		source := metering.OrgExporter{Store: s}
		var last int64
		for day := range 6 {
			p, err := source.Since(t.Context(), noon.Add(time.Duration(day)*24*time.Hour))
			if err != nil || p.Step < last || day == 0 && p.Step != 0 || day == 5 && p.Step != end {
				t.Errorf("day %d: %+v of %d, %v", day, p, end, err)
			}
			if day > 0 && p.Step == last {
				t.Errorf("day %d begins where the day before does: %d", day, last)
			}
			last = p.Step
		}
	})
}
