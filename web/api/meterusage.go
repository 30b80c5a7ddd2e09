package api

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gatehouse/app"
	"gatehouse/app/metering"
)

const aboutMeterUsage = "Usage of one meter between `since` and `until`, from 15-minute buckets: both must fall on whole quarters of an hour. " +
	"Days and months begin as `tz` says. `group` may stand several times: key, route, org (for an operator's report on all) and dimensions " +
	"of the meter, such as `group=model&group=user`. `filter.NAME=VALUE` takes only what has that value, such as `filter.model=…`. " +
	"`estimated` tells how many of the uses in a row are estimates."

// filterPrefix begins the parameters that filter.
const filterPrefix = "filter."

// MeterUsageInput asks for usage of a meter.
type MeterUsageInput struct {
	MeterPath
	Org    string   `query:"org" doc:"Only this organization's, by id or slug; for an operator" maxLength:"100"`
	Since  string   `query:"since" maxLength:"40" doc:"Begin: a time such as 2026-11-01T00:00:00+05:30, or a day in tz; 24 hours before until by default" example:"2026-11-01"`
	Until  string   `query:"until" maxLength:"40" doc:"End, not part of it; the end of the current quarter of an hour by default" example:"2026-12-01"`
	Step   string   `query:"step" enum:"15m,hour,day,month" doc:"Length of a row; by default one row for the whole range"`
	Zone   string   `query:"tz" maxLength:"60" doc:"Time zone of days and months, such as Asia/Kolkata; UTC by default"`
	Group  []string `query:"group,explode" maxItems:"10" doc:"A row for each of these: key, route, org, or a dimension of the meter"`
	Format string   `query:"format" enum:"json,csv" default:"json" doc:"csv: a header and a line for each row, for spreadsheets; numbers as stored"`
	filter map[string]string
}

var _ huma.Resolver = (*MeterUsageInput)(nil)

// Resolve implements huma.Resolver: it reads the parameters that name what
// they filter by, and refuses unknown ones.
func (in *MeterUsageInput) Resolve(ctx huma.Context) []error {
	address := ctx.URL()
	var wrong []error
	in.filter, wrong = filters(address.Query())
	return wrong
}

var meterParameters = []string{"org", "since", "until", "step", "tz", "group", "format"}

func filters(query url.Values) (filter map[string]string, wrong []error) {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		by, isFilter := strings.CutPrefix(name, filterPrefix)
		switch {
		case !goodText(name + query[name][0]):
			wrong = append(wrong, &huma.ErrorDetail{Location: "query", Message: "must be UTF-8 text without NUL"})
		case isFilter && by != "" && len(query[name]) == 1:
			if filter == nil {
				filter = map[string]string{}
			}
			filter[by] = query[name][0]
		case isFilter:
			wrong = append(wrong, &huma.ErrorDetail{Location: "query." + name, Message: "must stand once, as filter.NAME=VALUE"})
		case !slices.Contains(meterParameters, name):
			wrong = append(wrong, &huma.ErrorDetail{Location: "query." + name, Message: "unknown query parameter"})
		}
	}
	return filter, wrong
}

// MeterUsage is usage of a meter in a range.
type MeterUsage struct {
	Org   app.OrgID      `json:"org_id,omitempty" doc:"The organization; absent in a report on all"`
	Meter app.Meter      `json:"meter" doc:"What is counted"`
	Since time.Time      `json:"since" doc:"Begin"`
	Until time.Time      `json:"until" doc:"End, not part of it"`
	Step  string         `json:"step,omitempty" doc:"Length of a row; absent when there is one for the whole range"`
	Zone  string         `json:"tz" doc:"Time zone of days and months"`
	Group []string       `json:"group,omitempty" doc:"What the rows are divided by"`
	Items []app.MeterRow `json:"items" doc:"The rows, by time and then by group"`
}

func (x *API) getMeterUsage(ctx context.Context, actor app.Actor, in *MeterUsageInput) (*written, error) {
	var org app.OrgID
	var err error
	if actor.Kind == app.ActorKey || in.Org != "" {
		if org, err = x.orgOf(ctx, actor, in.Org); err != nil {
			return nil, err
		}
	}
	query, err := in.query(org, x.Now())
	if err != nil {
		return nil, err
	}
	report, err := x.Usage.Meter(ctx, actor, query)
	if err != nil {
		return nil, err
	}
	if in.Format == "csv" {
		return write("text/csv; charset=utf-8; header=present", func(w io.Writer) error { return metering.WriteCSV(w, report, query) }), nil
	}
	return write("application/json", func(w io.Writer) error {
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		return out.Encode(MeterUsage{Org: org, Meter: report.Meter, Since: report.Since, Until: report.Until, Step: in.Step,
			Zone: query.Zone.String(), Group: in.Group, Items: notNull(report.Rows)})
	}), nil
}

// written is an answer that writes itself, for calls with a choice of formats.
type written struct{ Body func(huma.Context) }

func write(contentType string, body func(io.Writer) error) *written {
	return &written{func(c huma.Context) {
		c.SetHeader("Content-Type", contentType)
		c.SetStatus(http.StatusOK)
		_ = body(c.BodyWriter()) // an error here means that the client is gone
	}}
}

// bindReport is bindOpen for getMeterUsage, whose answer is JSON or CSV.
func (x *API) bindReport() func(huma.API, route) {
	return func(to huma.API, rt route) {
		op := rt.operation()
		op.RejectUnknownQueryParameters = false
		op.Responses = map[string]*huma.Response{"200": {Description: "OK",
			Content: media(to.OpenAPI().Components.Schemas, map[string]any{"application/json": MeterUsage{}, "text/csv": ""})}}
		huma.Register(to, op, withActor(x.getMeterUsage))
	}
}

func (in *MeterUsageInput) query(org app.OrgID, now time.Time) (q app.MeterQuery, err error) {
	q = app.MeterQuery{Org: org, Meter: in.Meter, Group: in.Group, Filter: in.filter, Step: in.Step}
	if q.Zone, err = zoneOf(in.Zone); err != nil {
		return q, err
	}
	if q.Until, err = timeIn("until", in.Until, q.Zone, now.UTC().Truncate(app.BucketLength).Add(app.BucketLength)); err != nil {
		return q, err
	}
	q.Since, err = timeIn("since", in.Since, q.Zone, q.Until.Add(-24*time.Hour))
	return q, err
}

func zoneOf(name string) (*time.Location, error) {
	zone, err := app.Plan{TimeZone: name}.Zone()
	if err != nil {
		return nil, app.Invalid("tz", "must be a time zone such as Europe/Berlin")
	}
	return zone, nil
}

// timeIn reads a time with its zone, or one of the given zone.
func timeIn(field, text string, zone *time.Location, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		at, err := time.ParseInLocation(layout, text, zone)
		if err != nil {
			continue
		}
		if !onBucket(at) {
			return at, app.Invalid(field, "must fall on a whole quarter of an hour")
		}
		return at, nil
	}
	return time.Time{}, app.Invalid(field, "must be a time such as 2026-11-24T08:00:00Z, or a day such as 2026-11-24")
}

// orgOf is the organization that a call is about: an organization's key's own,
// or the one that an operator names.
func (x *API) orgOf(ctx context.Context, actor app.Actor, named string) (app.OrgID, error) {
	switch {
	case named != "":
		org, err := x.org(ctx, named)
		if err == nil && actor.Kind == app.ActorKey && org != actor.OrgID {
			return "", app.NotFound("organization")
		}
		return org, err
	case actor.Kind == app.ActorKey:
		return actor.OrgID, nil
	}
	return "", app.Invalid("org", "is required of an operator")
}

// sortedNames are the names of a set in their order.
func sortedNames[T any](set map[string]T) []string { return slices.Sorted(maps.Keys(set)) }
