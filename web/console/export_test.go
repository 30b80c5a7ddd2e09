package console

// Row is a row of the table of pages, for tests.
type Row struct {
	Method, Path string
	Open         bool // anyone may open it
}

// Rows lists all pages.
func Rows() []Row {
	var rows []Row
	for _, p := range (&site{}).pages() {
		rows = append(rows, Row{p.method, p.path, p.who == forAnyone})
	}
	return rows
}

// Policy is the content security policy of every page.
const Policy = policy
