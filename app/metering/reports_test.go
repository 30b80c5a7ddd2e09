package metering_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

var (
	anonymous = app.Actor{Kind: app.ActorAnonymous}
	operator  = app.Actor{Kind: app.ActorOperator, ID: "opr_1", Scopes: []string{"*"}}
	narrow    = app.Actor{Kind: app.ActorOperator, ID: "key_ops", Scopes: []string{"orgs:write"}}
	ownKey    = app.Actor{Kind: app.ActorKey, ID: "key_1", OrgID: "org_1", KeyID: "key_1"}
	ownUser   = app.Actor{Kind: app.ActorUser, ID: "u1", OrgID: "org_1"}
	otherKey  = app.Actor{Kind: app.ActorKey, ID: "key_9", OrgID: "org_2", KeyID: "key_9", Scopes: []string{"*"}}
)

// fill counts one request per quarter of an hour from 11:00 to 12:45 for each
// of two organizations, the second's weighing 10, over two keys and routes.
func fill(t *testing.T, s metering.BlockStore) {
	t.Helper()
	l := openMeter(t, metering.Options{Store: s})
	for i := range 8 {
		at := noon.Add(time.Duration(i-4) * app.BucketLength)
		count(t, l, app.Intent{At: at, Org: "org_1", Key: app.KeyID(fmt.Sprint("key_", i%2)), Route: "files", Weight: 1}, 200)
		count(t, l, app.Intent{At: at.Add(app.BucketLength - 1), Org: "org_2", Route: app.RouteID(fmt.Sprint("r", i/4)), Weight: 10}, 500)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_ = l.Close(ctx) // the buckets may be broken on purpose
}

func TestWhoMayReadUsage(t *testing.T) {
	s := openLedger(t, sqliteOptions(t))
	fill(t, s)
	cases := []struct {
		name  string
		actor app.Actor
		org   app.OrgID
		want  int64 // requests
		code  string
	}{
		{"anonymous", anonymous, "org_1", 0, "unauthenticated"},
		{"anonymous, of all", anonymous, "", 0, "unauthenticated"},
		{"another organization's key", otherKey, "org_1", 0, "not_found"},
		{"an organization that is none", ownKey, "org_none", 0, "not_found"},
		{"an operator without the scope", narrow, "org_1", 0, "forbidden"},
		{"its own key", ownKey, "org_1", 8, ""},
		{"its own key, not saying which", ownKey, "", 8, ""},
		{"its own user", ownUser, "org_1", 8, ""},
		{"an operator", operator, "org_2", 8, ""},
		{"an operator, of all", operator, "", 16, ""},
		{"the system, of all", system, "", 16, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rows, err := metering.Reports{Store: s}.Usage(t.Context(), c.actor,
				app.UsageQuery{Org: c.org, Since: noon.Add(-time.Hour), Until: noon.Add(time.Hour)})
			if c.code != "" {
				if known := app.AsError(err); known == nil || known.Code != c.code || rows != nil {
					t.Fatalf("got %v and %v, want %s", rows, err, c.code)
				}
				return
			}
			if err != nil || rows[0].Requests != c.want {
				t.Errorf("got %v, %v, want %d requests", rows, err, c.want)
			}
		})
	}
}

func TestUsageIsCutAndGrouped(t *testing.T) {
	hour := noon.Add(-time.Hour)
	kolkata := time.FixedZone("+5:30", 19800)
	cases := []struct {
		name  string
		query app.UsageQuery
		want  []string // start group requests weight
	}{
		{"in one", app.UsageQuery{Since: hour, Until: noon.Add(time.Hour)}, []string{"11:00  16 88"}},
		{"by the hour", app.UsageQuery{Since: hour, Until: noon.Add(2 * time.Hour), Step: time.Hour},
			[]string{"11:00  8 44", "12:00  8 44", "13:00  0 0"}},
		{"hours that begin at the half", app.UsageQuery{Since: time.Date(2026, 11, 24, 17, 0, 0, 0, kolkata), Until: noon.Add(time.Hour), Step: time.Hour},
			[]string{"11:30  8 44", "12:30  4 22"}},
		{"until excludes", app.UsageQuery{Since: hour, Until: hour.Add(15 * time.Minute)}, []string{"11:00  2 11"}},
		{"widened to whole buckets", app.UsageQuery{Since: hour.Add(time.Minute), Until: hour.Add(2 * time.Minute)}, []string{"11:00  2 11"}},
		{"before everything", app.UsageQuery{Since: hour.Add(-time.Hour), Until: hour}, []string{"10:00  0 0"}},
		{"by organization", app.UsageQuery{Since: hour, Until: noon.Add(time.Hour), Group: "org"},
			[]string{"11:00 org_1 8 8", "11:00 org_2 8 80"}},
		{"by key and hour", app.UsageQuery{Org: "org_1", Since: hour, Until: noon.Add(time.Hour), Step: time.Hour, Group: "key"},
			[]string{"11:00 key_0 2 2", "11:00 key_1 2 2", "12:00 key_0 2 2", "12:00 key_1 2 2"}},
		{"by route", app.UsageQuery{Org: "org_2", Since: hour, Until: noon.Add(time.Hour), Group: "route"},
			[]string{"11:00 r0 4 40", "11:00 r1 4 40"}},
		{"one key", app.UsageQuery{Org: "org_1", Key: "key_1", Since: hour, Until: noon.Add(time.Hour)}, []string{"11:00  4 4"}},
		{"one route", app.UsageQuery{Route: "r1", Since: hour, Until: noon.Add(time.Hour), Step: 30 * time.Minute, Group: "route"},
			[]string{"12:00 r1 2 20", "12:30 r1 2 20"}},
		{"a key of another organization", app.UsageQuery{Org: "org_2", Key: "key_1", Since: hour, Until: noon.Add(time.Hour)}, []string{"11:00  0 0"}},
	}
	eachEngine(t, func(t *testing.T, o store.Options) {
		applied, fresh := openLedger(t, o), &faulty{Ledger: openLedger(t, sqliteOptions(t))}
		fresh.onApply(func(func() (bool, error)) (bool, error) { return false, errDisk })
		fill(t, applied)
		fill(t, fresh)
		for _, c := range cases {
			for from, s := range map[string]metering.UsageStore{"buckets": applied, "blocks": fresh} {
				t.Run(c.name+" from "+from, func(t *testing.T) {
					rows, err := metering.Reports{Store: s}.Usage(t.Context(), system, c.query)
					if err != nil {
						t.Fatal(err)
					}
					var got []string
					for _, r := range rows {
						got = append(got, fmt.Sprintf("%s %s %d %d", r.Start.Format("15:04"), r.Group, r.Requests, r.Weight))
					}
					if fmt.Sprint(got) != fmt.Sprint(c.want) {
						t.Errorf("got  %q\nwant %q", got, c.want)
					}
				})
			}
		}
	})
}

func TestUsageQueriesAreBounded(t *testing.T) {
	s := openLedger(t, sqliteOptions(t))
	l := openMeter(t, metering.Options{Store: s})
	var last metering.Ticket
	for i := range metering.MaxUsageRows + 1 {
		last = l.Begin(request(fmt.Sprint("org_", i), noon))
	}
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeMeter(t, l)
	day := 24 * time.Hour
	cases := []struct {
		name  string
		query app.UsageQuery
		code  string
		field string
	}{
		{"nothing asked", app.UsageQuery{}, "invalid_input", "until"},
		{"until before since", app.UsageQuery{Since: noon, Until: noon.Add(-time.Hour)}, "invalid_input", "until"},
		{"longer than a year", app.UsageQuery{Since: noon.Add(-500 * day), Until: noon}, "invalid_input", "since"},
		{"since the beginning of time", app.UsageQuery{Until: noon}, "invalid_input", "since"},
		{"steps of a minute", app.UsageQuery{Since: noon.Add(-day), Until: noon, Step: time.Minute}, "invalid_input", "step"},
		{"a negative step", app.UsageQuery{Since: noon.Add(-day), Until: noon, Step: -app.BucketLength}, "invalid_input", "step"},
		{"too many steps", app.UsageQuery{Since: noon.Add(-200 * day), Until: noon, Step: app.BucketLength}, "invalid_input", "step"},
		{"a group that is none", app.UsageQuery{Since: noon.Add(-day), Until: noon, Group: "org_id; DROP"}, "invalid_input", "group"},
		{"too many groups", app.UsageQuery{Since: noon.Add(-day), Until: noon.Add(day), Group: "org"}, "usage_too_large", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := metering.Reports{Store: s}.Usage(t.Context(), operator, c.query)
			known := app.AsError(err)
			if known == nil || known.Kind != app.KindInvalid || known.Code != c.code {
				t.Fatalf("got %v, want %s", err, c.code)
			}
			if c.field != "" && (len(known.Fields) == 0 || known.Fields[0].Field != c.field) {
				t.Errorf("got %v, want the field %s", err, c.field)
			}
		})
	}
	totals, err := metering.Reports{Store: s}.Totals(t.Context(), operator, noon.Add(-day), noon.Add(day))
	if err != nil || len(totals) != metering.MaxUsageRows+1 || totals["org_7"].Requests != 1 {
		t.Errorf("%d totals, %v", len(totals), err)
	}
}

func TestTotalsShowOneOrganizationToItself(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		fill(t, s)
		since, until := noon.Add(-24*time.Hour), noon.Add(24*time.Hour)
		cases := []struct {
			actor app.Actor
			want  string
		}{{operator, "map[org_1:8 org_2:80]"}, {ownUser, "map[org_1:8]"}, {otherKey, "map[org_2:80]"}}
		for _, c := range cases {
			totals, err := metering.Reports{Store: s}.Totals(t.Context(), c.actor, since, until)
			if err != nil {
				t.Fatal(err)
			}
			weights := map[app.OrgID]int64{}
			for org, row := range totals {
				weights[org] = row.Weight
			}
			if got := fmt.Sprint(weights); got != c.want {
				t.Errorf("%s sees %s, want %s", c.actor, got, c.want)
			}
		}
		for _, actor := range []app.Actor{anonymous, narrow} {
			if totals, err := (metering.Reports{Store: s}).Totals(t.Context(), actor, since, until); err == nil {
				t.Errorf("%s sees %v", actor, totals)
			}
		}
	})
}
