package api

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gatehouse/app"
	"gatehouse/app/export"
)

const aboutExport = "Records of the ledger in the order in which they went into the sums: requests, how they ended, uses of meters, events " +
	"and corrections. Each has the `n` of its step; to go on, give the largest as `after`. The same number stands in the trailer " +
	"`X-Gatehouse-Next` when the answer is whole. Steps are never cut, so an answer may hold somewhat more than `limit` records."

// headerNext is the trailer that says where to go on.
const headerNext = "X-Gatehouse-Next"

const aboutOwnExport = "**An organization's key**, or an operator's with `org`, gets that organization's records in pages: at most `limit` " +
	"records, 1,000 by default. `X-Gatehouse-Next` is an ordinary header then: a text to give as `after` for the next page, or to go on " +
	"another day. A page may be short or empty before the end, because everybody's records are looked through; `X-Gatehouse-End: true` " +
	"says that there is nothing more at the moment. Records have ids of their own, without `n`, `reason` and `by`. One page at a time: " +
	"429 `export_busy`."

// headerEnd says of a page that there is nothing after it yet.
const headerEnd = "X-Gatehouse-End"

func (x *API) exportMount() func(huma.API, route) {
	return x.raw(x.exportUsage, rawForm{
		query: map[string]string{"after": "Where to go on: the `n` up to which everything is known, or what a page gave as X-Gatehouse-Next",
			"format": "jsonl (the default) or csv", "limit": "Stop after so many records; 1,000,000 by default and at most. Of a page 1,000, at most 10,000",
			"org":   "Only this organization's, by id or slug; an organization's key means its own",
			"since": "Of a first page: begin with what came in then, such as 2026-11-01T00:00:00Z; when the organization was created by default"},
		answers: map[string]any{"application/jsonl": "", "text/csv": ""},
	})
}

func (x *API) exportUsage(w http.ResponseWriter, r *http.Request, actor app.Actor) error {
	if actor.Kind == app.ActorKey || r.URL.Query().Has("org") {
		return x.exportOwn(w, r, actor)
	}
	return x.exportAll(w, r, actor)
}

func (x *API) exportOwn(w http.ResponseWriter, r *http.Request, actor app.Actor) error {
	q, named, err := pageQuery(r.URL.Query())
	if err != nil {
		return err
	}
	if q.Org, err = x.orgOf(r.Context(), actor, named); err != nil {
		return err
	}
	page, err := x.OwnExports.Page(r.Context(), actor, q)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", export.ContentType(q.Format))
	header.Set(headerNext, page.Next)
	header.Set(headerEnd, strconv.FormatBool(page.End))
	w.Write(page.Body) // an error here means that the client is gone
	return nil
}

// pageQuery reads what a page is asked for by, and the organization's name.
func pageQuery(query url.Values) (q export.PageQuery, org string, err error) {
	q.Format = export.FormatJSONL
	for _, name := range slices.Sorted(maps.Keys(query)) {
		word := query[name][0]
		if len(query[name]) > 1 {
			return q, org, app.Invalid(name, "must stand once")
		}
		switch name {
		case "org":
			org = word
		case "after":
			q.After = word
		case "format":
			q.Format = word
		case "since":
			if q.Since, err = time.Parse(time.RFC3339, word); err != nil {
				return q, org, app.Invalid(name, "must be a time such as 2026-11-24T08:00:00Z")
			}
		case "limit":
			if q.Max, err = strconv.Atoi(word); err != nil || q.Max < 1 || q.Max > export.MaxPageRecords {
				return q, org, app.Invalid(name, "must be between 1 and %d", export.MaxPageRecords)
			}
		default:
			return q, org, app.Invalid(name, "is not a known parameter")
		}
	}
	return q, org, nil
}

func (x *API) exportAll(w http.ResponseWriter, r *http.Request, actor app.Actor) error {
	after, limit, format, err := exportQuery(r)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", export.ContentType(format))
	header.Set("Trailer", headerNext)
	began := &begun{ResponseWriter: w}
	next, err := x.Exports.Write(r.Context(), actor, began, after, format, int(limit))
	switch {
	case err == nil:
		header.Set(headerNext, strconv.FormatInt(next, 10))
	case began.any: // too late for another answer: break off, so that nobody takes half for the whole
		x.Respond.Log.WarnContext(r.Context(), "export broken off", "error", err)
		panic(http.ErrAbortHandler)
	default:
		header.Del("Trailer")
	}
	return err
}

func exportQuery(r *http.Request) (after, limit int64, format string, err error) {
	format = export.FormatJSONL
	for name, values := range r.URL.Query() {
		switch word := values[0]; name {
		case "after", "limit":
			n, err := strconv.ParseInt(word, 10, 64)
			if err != nil || n < 0 || n > export.MaxRecords && name == "limit" || len(values) > 1 {
				return 0, 0, "", app.Invalid(name, "must be a whole number; limit at most %d", export.MaxRecords)
			}
			if name == "after" {
				after = n
			} else {
				limit = n
			}
		case "format":
			format = word
		default:
			return 0, 0, "", app.Invalid(name, "is not a known parameter")
		}
	}
	return after, limit, format, export.CheckFormat(format)
}

// begun notes whether something was written.
type begun struct {
	http.ResponseWriter
	any bool
}

// Write implements io.Writer.
func (b *begun) Write(p []byte) (int, error) {
	b.any = true
	return b.ResponseWriter.Write(p)
}
