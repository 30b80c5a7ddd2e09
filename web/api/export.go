package api

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"gatehouse/app"
	"gatehouse/app/export"
)

const aboutExport = "Records of the ledger in the order in which they went into the sums: requests, how they ended, uses of meters, events " +
	"and corrections. Each has the `n` of its step; to go on, give the largest as `after`. The same number stands in the trailer " +
	"`X-Gatehouse-Next` when the answer is whole. Steps are never cut, so an answer may hold somewhat more than `limit` records."

// headerNext is the trailer that says where to go on.
const headerNext = "X-Gatehouse-Next"

func (x *API) exportMount() func(huma.API, route) {
	return x.raw(x.exportUsage, rawForm{
		query: map[string]string{"after": "The `n` up to which everything is known; 0 by default",
			"format": "jsonl (the default) or csv", "limit": "Stop after so many records; 1,000,000 by default and at most"},
		answers: map[string]any{"application/jsonl": "", "text/csv": ""},
	})
}

func (x *API) exportUsage(w http.ResponseWriter, r *http.Request, actor app.Actor) error {
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
