package app

// Page asks for part of a list. Cursor is what the previous answer gave as
// Next; empty begins at the start. Limit is 1–200, 0 means 50.
type Page struct {
	Cursor string
	Limit  int
	Search string // matches names and slugs by substring, case-insensitive; may be empty
	Filter string // a state, plan or other word that the list defines; may be empty
}

// Bounds of a page.
const (
	DefaultPageLimit = 50
	MaxPageLimit     = 200
)

// Size returns the number of rows asked for, within the bounds.
func (p Page) Size() int {
	switch {
	case p.Limit <= 0:
		return DefaultPageLimit
	case p.Limit > MaxPageLimit:
		return MaxPageLimit
	}
	return p.Limit
}

// List is one page of a list; Next is empty on the last.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}
