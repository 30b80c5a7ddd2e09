package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gatehouse/app"
)

// States of a part.
const (
	partBegun   = 0 // not yet whole: nobody reads it, and the next start drops it
	partReady   = 1
	partDropped = 2
)

// indexDisk is the index's tables, written on behalf of one chain.
type indexDisk struct {
	ledger  *Ledger
	replica int64
	page    *sql.Stmt
	before  func() error // each step; tests fail it
}

// find looks for ids, which are sorted, in the pages of a part.
func (d *indexDisk) find(ctx context.Context, p *idPart, ids [][16]byte, pass func(app.EventMark)) error {
	for len(ids) > 0 {
		row := p.page(&ids[0])
		body, err := d.read(ctx, row)
		if err != nil {
			return err
		}
		for len(ids) > 0 && p.page(&ids[0]) == row {
			if m, found := findEntry(body, &ids[0]); found {
				pass(m)
			}
			ids = ids[1:]
		}
	}
	return nil
}

// read reads a row of a part.
func (d *indexDisk) read(ctx context.Context, row int64) (body []byte, err error) {
	err = d.page.QueryRowContext(ctx, row).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, indexDamaged(row / partPages)
	}
	if err != nil {
		err = asAppError(ctx, err)
	}
	return body, err
}

func indexDamaged(part int64) error {
	return &app.Error{Kind: app.KindInternal, Code: "ledger_damaged",
		Message: fmt.Sprintf("Part %d of the index of counted events lacks rows.", part),
		Advice:  "Restore the usage database from a backup."}
}

// step writes something in a transaction, unless the chain has ended or was
// taken over: then another process may keep the index already.
func (d *indexDisk) step(ctx context.Context, do func(*tx) error) error {
	d.ledger.checkpoints.written()
	return d.ledger.db.system(ctx, ledgerReason, func(t *tx) error {
		if d.before != nil {
			if err := d.before(); err != nil {
				return err
			}
		}
		if err := t.living(d.replica); err != nil {
			return err
		}
		return do(t)
	})
}

// beginPart notes that rows of the part follow.
func (t *tx) beginPart(p *idPart) error {
	_, err := t.exec(`INSERT INTO main.usage_event_part (id, state, ids, oldest, newest) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO NOTHING`, p.id, partBegun, p.count, p.oldest, p.newest)
	return err
}

// addPages writes rows of a part, the first of them at a number; again they
// are the same.
func (t *tx) addPages(first int64, rows [][]byte) error {
	args := make([]any, 0, 2*len(rows))
	for i, row := range rows {
		args = append(args, first+int64(i), row)
	}
	_, err := t.exec(`INSERT INTO main.usage_event_page (id, body) VALUES `+values(len(rows), 2)+` ON CONFLICT (id) DO NOTHING`, args...)
	return err
}

// endPart makes a part ready, and notes which blocks are in it.
func (t *tx) endPart(p *idPart, upTo map[int64]int64) error {
	for replica, seq := range upTo {
		_, err := t.exec(`INSERT INTO main.usage_event_position (replica, seq) VALUES ($1, $2)
			ON CONFLICT (replica) DO UPDATE SET seq = excluded.seq`, replica, seq)
		if err != nil {
			return err
		}
	}
	return t.setPart(p.id, partReady)
}

// endMerged makes a part ready in place of others, whose ids it holds.
func (t *tx) endMerged(p *idPart, others []*idPart) error {
	for _, other := range others {
		if err := t.setPart(other.id, partDropped); err != nil {
			return err
		}
	}
	return t.setPart(p.id, partReady)
}

func (t *tx) setPart(id int64, state int) error {
	_, err := t.exec(`UPDATE main.usage_event_part SET state = $2 WHERE id = $1`, id, state)
	return err
}

// removePages deletes some rows of a part, and returns how many there were.
func (t *tx) removePages(part int64, max int) (int64, error) {
	return t.exec(`DELETE FROM main.usage_event_page WHERE id IN
		(SELECT id FROM usage_event_page WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3)`, part*partPages, (part+1)*partPages, max)
}

func (t *tx) removePart(id int64) error {
	_, err := t.exec(`DELETE FROM main.usage_event_part WHERE id = $1`, id)
	return err
}

// loadParts reads the parts that are ready, in the order in which their
// ids were received, and those that are to be dropped.
func (t *tx) loadParts() (ready, dropped []*idPart, err error) {
	type row struct {
		part  *idPart
		state int
	}
	scan := func(from scanner) (r row, err error) {
		r.part = &idPart{}
		return r, from.Scan(&r.part.id, &r.state, &r.part.count, &r.part.oldest, &r.part.newest)
	}
	list, err := rows(t, scan, `SELECT id, state, ids, oldest, newest FROM usage_event_part ORDER BY newest, id`)
	for _, r := range list {
		if r.state != partReady {
			r.part.dropped.Store(true)
			dropped = append(dropped, r.part)
			continue
		}
		if err := t.loadSummary(r.part); err != nil {
			return nil, nil, err
		}
		ready = append(ready, r.part)
	}
	return ready, dropped, err
}

func (t *tx) loadSummary(p *idPart) error {
	var (
		raw []byte
		one sql.RawBytes
	)
	scan := func(row scanner) error {
		err := row.Scan(&one)
		raw = append(raw, one...)
		return err
	}
	err := each(t, scan, `SELECT body FROM usage_event_page WHERE id >= $1 AND id < $2 ORDER BY id`,
		p.id*partPages+int64(p.pages()), (p.id+1)*partPages)
	if err == nil && !p.restore(raw) {
		err = indexDamaged(p.id)
	}
	return err
}
