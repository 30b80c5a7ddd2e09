package store

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/app"
)

// listing is a list by keyset, newest first: SELECT columns FROM table WHERE
// what is gathered in where, which the arguments fill.
type listing struct {
	columns, table string
	where          []string
	args           []any
	longID         int // bytes of the longest id in a cursor; 0: shortID
}

// and adds a condition; each $ in it stands for the next argument.
func (l *listing) and(condition string, args ...any) {
	for _, arg := range args {
		l.args = append(l.args, arg)
		condition = strings.Replace(condition, "$", "\x00"+strconv.Itoa(len(l.args)), 1)
	}
	l.where = append(l.where, strings.ReplaceAll(condition, "\x00", "$"))
}

// contains is a case-insensitive search in a column that is in lower case.
func (l *listing) contains(column, search string) error {
	if search == "" {
		return nil
	}
	if !utf8.ValidString(search) || strings.ContainsRune(search, 0) || len(search) > 200 {
		return app.Invalid("search", "must be UTF-8 text of at most 200 bytes")
	}
	escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	l.and(column+` LIKE $ ESCAPE '\'`, "%"+escape.Replace(strings.ToLower(search))+"%")
	return nil
}

// page answers the part of the list that the page asks for. at tells an item's
// place: when it was created, and its id.
func page[T any](t *tx, l listing, p app.Page, scan func(scanner) (T, error), at func(T) (time.Time, string)) (app.List[T], error) {
	if p.Cursor != "" {
		created, id, err := l.readCursor(p.Cursor)
		if err != nil {
			return app.List[T]{}, err
		}
		l.and(`(created_at, id) < ($, $)`, created, id)
	}
	query := "SELECT " + l.columns + " FROM " + l.table
	if len(l.where) > 0 {
		query += " WHERE " + strings.Join(l.where, " AND ")
	}
	size := p.Size()
	// One more than asked for tells whether there is a next page.
	query += fmt.Sprintf(" ORDER BY created_at DESC, id DESC LIMIT %d", size+1)
	items, err := rows(t, scan, query, l.args...)
	if err != nil || len(items) <= size {
		return app.List[T]{Items: items}, err
	}
	items = items[:size]
	return app.List[T]{Items: items, Next: writeCursor(at(items[size-1]))}, nil
}

// writeCursor packs the place of a list's last item.
func writeCursor(created time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(millis(created), 10) + " " + id))
}

// shortID bounds the ids that Gatehouse itself gives.
const shortID = 64

func (l listing) readCursor(cursor string) (created int64, id string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	digits, id, ok := strings.Cut(string(raw), " ")
	if err == nil {
		created, err = strconv.ParseInt(digits, 10, 64)
	}
	printable := !strings.ContainsFunc(id, func(r rune) bool { return r < '!' || r > '~' })
	if err != nil || !ok || !printable || len(id) > max(l.longID, shortID) {
		return 0, "", app.Invalid("cursor", "must be what an earlier page gave as next")
	}
	return created, id, nil
}
