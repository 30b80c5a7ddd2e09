package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/app"
)

// touchBatch is how many keys one transaction touches: few enough that other
// writers do not wait long for SQLite's one writer.
const touchBatch = 500

// TouchKeys notes when keys were last used, forward only. Keys that are gone
// are passed over. No node hears of it: it changes nothing that they decide by.
func (s *Store) TouchKeys(ctx context.Context, used map[app.KeyID]time.Time) error {
	// In one order everywhere, so that two nodes cannot wait for each other.
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(used)), touchBatch) {
		err := s.system(ctx, "last uses are noted for all organizations at once", func(tx *tx) error {
			for _, table := range []string{"api_key", "operator_key"} {
				if err := tx.touch(table, ids, used); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// touch moves the times of one table forward in one statement.
func (t *tx) touch(table string, ids []app.KeyID, used map[app.KeyID]time.Time) error {
	var values []string
	var args []any
	for i, id := range ids {
		values = append(values, fmt.Sprintf("(CAST($%d AS TEXT), CAST($%d AS BIGINT))", 2*i+1, 2*i+2))
		args = append(args, id, millis(used[id]))
	}
	with := `WITH used (id, at) AS (VALUES ` + strings.Join(values, ", ") + `) `
	if t.dialect.lockRow != "" { // rows are locked in order first: an UPDATE takes them in any
		if _, err := t.exec(with+`SELECT 1 FROM `+table+` WHERE id IN (SELECT id FROM used) ORDER BY id`+t.dialect.lockRow, args...); err != nil {
			return err
		}
	}
	_, err := t.exec(with+`UPDATE main.`+table+` SET last_used_at = used.at FROM used
		WHERE `+table+`.id = used.id AND `+table+`.last_used_at < used.at`, args...)
	return err
}
