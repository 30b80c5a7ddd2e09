package export

import (
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/app"
)

// Formats of an export.
const (
	FormatJSONL = "jsonl" // one JSON object a line
	FormatCSV   = "csv"   // RFC 4180 with a header; lines end in CR LF
)

// Formats lists the formats.
func Formats() []string { return []string{FormatJSONL, FormatCSV} }

// CheckFormat refuses a word that is no format.
func CheckFormat(format string) error {
	if !slices.Contains(Formats(), format) {
		return app.Invalid("format", "%q must be jsonl or csv", format)
	}
	return nil
}

// ContentType is the media type of a format.
func ContentType(format string) string {
	if format == FormatCSV {
		return "text/csv; charset=utf-8; header=present"
	}
	return "application/jsonl"
}

// encoder writes records. The same records give the same bytes.
type encoder interface {
	// begin writes what comes before the first record.
	begin() error
	write(r *app.ExportRecord) error
}

func newEncoder(format string, w io.Writer) encoder {
	if format == FormatCSV {
		return &csvEncoder{w: w}
	}
	return &lineEncoder{w: w}
}

// line is a record as a JSON object; what its kind does not have is left out.
type line struct {
	ID        string          `json:"id"`
	N         int64           `json:"n,omitempty"`
	Kind      app.ExportKind  `json:"kind"`
	At        string          `json:"at"`
	Org       app.OrgID       `json:"org_id,omitempty"`
	Key       app.KeyID       `json:"key_id,omitempty"`
	Route     app.RouteID     `json:"route_id,omitempty"`
	Meter     string          `json:"meter,omitempty"`
	Dims      json.RawMessage `json:"dims,omitempty"`
	Quantity  *int64          `json:"quantity,omitempty"`
	Unique    bool            `json:"unique,omitempty"`
	Estimated bool            `json:"estimated,omitempty"`
	Request   string          `json:"request,omitempty"`
	Status    *int            `json:"status,omitempty"`
	BytesIn   *int64          `json:"bytes_in,omitempty"`
	BytesOut  *int64          `json:"bytes_out,omitempty"`
	Duration  *int64          `json:"duration_us,omitempty"`
	Source    string          `json:"source,omitempty"`
	EventID   string          `json:"event_id,omitempty"`
	EventType string          `json:"event_type,omitempty"`
	Received  string          `json:"received_at,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	By        string          `json:"by,omitempty"`
}

type lineEncoder struct {
	w   io.Writer
	out []byte
}

func (e *lineEncoder) begin() error { return nil }

func (e *lineEncoder) write(r *app.ExportRecord) error {
	l := line{ID: r.ID, N: r.N, Kind: r.Kind, At: stamp(r.At), Org: r.Org, Key: r.Key, Route: r.Route, Meter: r.Meter,
		Dims: object(r.Dims), Unique: r.Unique, Estimated: r.Estimated, Request: r.Request,
		Source: r.Source, EventID: r.EventID, EventType: r.EventType, Received: stamp(r.Received), Reason: r.Reason, By: r.By}
	if measured(r.Kind) {
		l.Quantity = &r.Quantity
	}
	if r.Kind == app.ExportSettle {
		micros := r.Duration.Microseconds()
		l.Status, l.BytesIn, l.BytesOut, l.Duration = &r.Status, &r.BytesIn, &r.BytesOut, &micros
	}
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	e.out = append(append(e.out[:0], body...), '\n')
	_, err = e.w.Write(e.out)
	return err
}

// measured reports whether records of the kind have a quantity.
func measured(kind app.ExportKind) bool {
	return kind == app.ExportRequest || kind == app.ExportUse || kind == app.ExportAdjust
}

// object is the dimensions as JSON; a text that is none stays a text, so that
// one odd record does not stop an export.
func object(dims string) json.RawMessage {
	if dims == "" || json.Valid([]byte(dims)) {
		return json.RawMessage(dims)
	}
	text, _ := json.Marshal(dims) // a string always marshals
	return text
}

// stamp is a time in RFC 3339 with milliseconds, in UTC; empty for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// columns of CSV; new ones are added at the end alone.
var columns = []string{"id", "n", "kind", "at", "org_id", "key_id", "route_id", "meter", "dims", "quantity", "unique", "estimated",
	"request", "status", "bytes_in", "bytes_out", "duration_us", "source", "event_id", "event_type", "received_at", "reason", "by"}

type csvEncoder struct {
	w   io.Writer
	out []byte
}

func (e *csvEncoder) begin() error { return e.row(columns) }

func (e *csvEncoder) write(r *app.ExportRecord) error {
	cells := []string{r.ID, number(r.N), string(r.Kind), stamp(r.At), text(r.Org), text(r.Key), text(r.Route),
		text(r.Meter), text(r.Dims), "", yes(r.Unique), yes(r.Estimated), r.Request, "", "", "", "",
		text(r.Source), text(r.EventID), text(r.EventType), stamp(r.Received), text(r.Reason), text(r.By)}
	if measured(r.Kind) {
		cells[9] = strconv.FormatInt(r.Quantity, 10)
	}
	if r.Kind == app.ExportSettle {
		cells[13], cells[14] = strconv.Itoa(r.Status), strconv.FormatInt(r.BytesIn, 10)
		cells[15], cells[16] = strconv.FormatInt(r.BytesOut, 10), strconv.FormatInt(r.Duration.Microseconds(), 10)
	}
	return e.row(cells)
}

// number is empty for none.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func (e *csvEncoder) row(cells []string) error {
	e.out = e.out[:0]
	for i, cell := range cells {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		e.out = appendCell(e.out, cell)
	}
	e.out = append(e.out, '\r', '\n')
	_, err := e.w.Write(e.out)
	return err
}

// appendCell quotes what would end the cell (RFC 4180, 2.6 and 2.7).
func appendCell(out []byte, cell string) []byte {
	if !strings.ContainsAny(cell, "\",\r\n") {
		return append(out, cell...)
	}
	out = append(out, '"')
	out = append(out, strings.ReplaceAll(cell, `"`, `""`)...)
	return append(out, '"')
}

// text is a cell that others chose the contents of. One that a spreadsheet
// would run as a formula begins with an apostrophe instead
// (https://owasp.org/www-community/attacks/CSV_Injection).
func text[T ~string](cell T) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + string(cell)
	}
	return string(cell)
}

func yes(set bool) string {
	if set {
		return "true"
	}
	return "false"
}
