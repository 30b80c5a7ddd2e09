package metering

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"gatehouse/app"
)

// WriteCSV writes a report for spreadsheets and programs: a header, then a line
// for each row, ended by CR LF. Numbers are as stored, so cost is in micros.
func WriteCSV(w io.Writer, report app.MeterReport, q app.MeterQuery) error {
	zone := q.Zone
	if zone == nil {
		zone = time.UTC
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	cells := []string{"start"}
	for _, name := range q.Group {
		cells = append(cells, harmless(name))
	}
	out.Write(append(cells, "value", "estimated")) // Error tells what fails
	for _, r := range report.Rows {
		cells = append(cells[:0], r.Start.In(zone).Format(time.RFC3339))
		for _, name := range q.Group {
			cells = append(cells, harmless(r.Group[name]))
		}
		out.Write(append(cells, strconv.FormatInt(r.Value, 10), strconv.FormatInt(r.Estimated, 10)))
	}
	out.Flush()
	return out.Error()
}

// harmless keeps a text from being a formula: whoever names a dimension's
// values does not choose what a spreadsheet runs.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
