package store

import (
	"context"
	"time"

	"gatehouse/app"
)

// keptChanges is how many changes a node may be behind before it has to load
// everything anew.
const keptChanges = 100_000

// changed notes that a noun changed, for every node to hear after the commit.
func (t *tx) changed(noun, id string, org app.OrgID) {
	t.changes = append(t.changes, app.Change{Noun: noun, ID: id, Org: org})
}

// number gives the transaction's changes their numbers and keeps them.
func (t *tx) number(now time.Time) error {
	n := int64(len(t.changes))
	if n == 0 {
		return nil
	}
	var last int64
	err := t.row(`UPDATE main.revision SET seq = seq + $1 WHERE id = 1 RETURNING seq`, n).Scan(&last)
	if err != nil {
		return err
	}
	for i := range t.changes {
		c := &t.changes[i]
		c.Seq = last - n + 1 + int64(i)
		if _, err := t.exec(`INSERT INTO main.change (seq, noun, ref, org_id, at) VALUES ($1, $2, $3, $4, $5)`,
			c.Seq, c.Noun, c.ID, c.Org, now.UnixMilli()); err != nil {
			return err
		}
	}
	_, err = t.exec(`DELETE FROM main.change WHERE seq <= $1`, last-keptChanges)
	return err
}

// OnChange registers a function that hears of each change made through this
// Store, after its commit and before the method that made it returns. It must
// be quick, and must not count on the order of Seq: two commits at once may
// tell their changes in either order. Changes by other processes come from
// Changes alone.
func (s *Store) OnChange(listen func(app.Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, listen)
}

func (s *Store) tell(changes []app.Change) {
	if len(changes) == 0 {
		return
	}
	s.mu.RLock()
	listeners := s.listeners
	s.mu.RUnlock()
	for _, c := range changes {
		for _, listen := range listeners {
			listen(c)
		}
	}
}

// Changes answers at most max changes after the number, in their order. When
// the next one is no longer kept, it answers a conflict with the code
// changes_lost: load everything, and go on from LastChange read before that.
func (s *Store) Changes(ctx context.Context, after int64, max int) ([]app.Change, error) {
	var list []app.Change
	err := s.systemRead(ctx, "a node reloads what changed", func(tx *tx) (err error) {
		list, err = rows(tx, scanChange,
			`SELECT seq, noun, ref, org_id FROM change WHERE seq > $1 ORDER BY seq LIMIT $2`, after, max)
		return err
	})
	if err == nil && len(list) > 0 && list[0].Seq != after+1 {
		return nil, app.Conflict("changes_lost", "The changes after %d are no longer kept.", after)
	}
	return list, err
}

func scanChange(row scanner) (c app.Change, err error) {
	return c, row.Scan(&c.Seq, &c.Noun, &c.ID, &c.Org)
}

// LastChange is the number of the newest change, 0 before the first.
func (s *Store) LastChange(ctx context.Context) (seq int64, err error) {
	err = s.systemRead(ctx, "a node begins to follow changes", func(tx *tx) error {
		return tx.row(`SELECT seq FROM revision WHERE id = 1`).Scan(&seq)
	})
	return seq, err
}
