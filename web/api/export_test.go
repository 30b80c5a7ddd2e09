package api

// Row is a row of the table, for the test that every row is tested.
type Row struct {
	Method, Path, ID, Scope string
	Own, Creates            bool
	Status                  int
}

// Rows is the table.
func (x *API) Rows() []Row {
	var rows []Row
	for _, rt := range x.routes() {
		rows = append(rows, Row{rt.method, rt.path, rt.id, rt.may.scope, rt.may.own, rt.creates(), rt.status})
	}
	return rows
}

// DescribedFields are the fields that the tables of words describe, as
// "Schema.field".
func DescribedFields() []string {
	var names []string
	for name := range descriptions {
		names = append(names, name)
	}
	for name := range examples {
		names = append(names, name)
	}
	return names
}
