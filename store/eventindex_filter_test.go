package store

import (
	"path/filepath"
	"testing"
)

// TestFiltersNeverLieAboutWhatIsThere also holds that they let little else through.
func TestFiltersNeverLieAboutWhatIsThere(t *testing.T) {
	for _, ids := range []int64{1, 33, 1000, 50_000} {
		filter := newBloom(int(ids))
		for n := range ids {
			m := testMark(0, 0, n)
			filter.add(&m.ID)
		}
		var there, elsewhere [][16]byte
		for n := range ids {
			there = append(there, testMark(0, 0, n).ID)
		}
		for n := range int64(20_000) {
			elsewhere = append(elsewhere, testMark(0, 0, 1<<40+n).ID)
		}
		if n := len(filter.sift(there, nil)); n != int(ids) {
			t.Errorf("of %d ids %d are found", ids, n)
		}
		if n := len(filter.sift(elsewhere, nil)); n > len(elsewhere)/200 {
			t.Errorf("with %d ids, %d of %d others are let through", ids, n, len(elsewhere))
		}
	}
}

// TestAFullPageFitsOnePageOfSQLites asks SQLite itself.
func TestAFullPageFitsOnePageOfSQLites(t *testing.T) {
	r := openRun(t, filepath.Join(t.TempDir(), "gatehouse.db"))
	r.report(0, 40*runTable, runNow)
	r.settled()
	var full, leaves, overflow int64
	err := r.l.db.read.QueryRow(`SELECT (SELECT COUNT(*) FROM usage_event_page), SUM(pagetype = 'leaf'), SUM(pagetype = 'overflow') FROM dbstat WHERE name = 'usage_event_page'`).
		Scan(&full, &leaves, &overflow)
	if err != nil {
		t.Skip("this SQLite does not tell: ", err)
	}
	if overflow != 0 || leaves > full {
		t.Errorf("%d rows take %d pages and %d more", full, leaves, overflow)
	}
}
