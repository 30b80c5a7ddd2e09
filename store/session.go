package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"gatehouse/app"
)

// keptSessions bounds the sessions of one person; the oldest end.
const keptSessions = 100

const operatorSessionColumns = `hash, operator_id, created_at, last_seen_at, reauthed_at, expires_at, address, user_agent`

func operatorSessionFields(s *app.Session) []any {
	s.Kind = app.ActorOperator
	return []any{inBytes(&s.Hash), &s.ActorID, inMillis(&s.CreatedAt), inMillis(&s.LastSeenAt), inMillis(&s.ReauthedAt),
		inMillis(&s.ExpiresAt), &s.Address, &s.UserAgent}
}

func scanOperatorSession(row scanner) (s app.Session, err error) {
	return s, row.Scan(operatorSessionFields(&s)...)
}

// InsertOperatorSession adds a session for an operator whose password was
// verified against the hash. A conflict password_changed says that the
// password is another by now: a sign-in under way must not outlive a reset.
func (s *Store) InsertOperatorSession(ctx context.Context, session app.Session, passwordHash string) error {
	return s.system(ctx, operatorReason, func(tx *tx) error {
		var one int
		err := tx.row(`SELECT 1 FROM operator WHERE id = $1 AND password_hash = $2`+tx.dialect.lockRow,
			session.ActorID, passwordHash).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return app.Conflict("password_changed", "The password was changed at the same moment.")
		}
		if err != nil {
			return err
		}
		return tx.insertOperatorSession(session)
	})
}

// InsertOperatorSessionByLink uses up a one-time link and adds a session for
// its operator, whom it answers. A link that does not hold is not found.
func (s *Store) InsertOperatorSessionByLink(ctx context.Context, link [32]byte, session app.Session) (o app.Operator, err error) {
	err = s.system(ctx, operatorReason, func(tx *tx) error {
		var id app.OperatorID
		err := tx.row(`DELETE FROM main.operator_link WHERE hash = $1 AND expires_at > $2 RETURNING operator_id`,
			inBytes(&link), inMillis(&session.CreatedAt)).Scan(&id)
		if err != nil {
			return found("sign-in link", err)
		}
		o, err = scanOperator(tx.row(`SELECT `+operatorColumns+` FROM operator WHERE id = $1`+tx.dialect.lockRow, id))
		if err != nil {
			return found("operator", err)
		}
		session.ActorID = string(id)
		return tx.insertOperatorSession(session)
	})
	return o, err
}

func (t *tx) insertOperatorSession(s app.Session) error {
	_, err := t.exec(`INSERT INTO main.operator_session (`+operatorSessionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		operatorSessionFields(&s)...)
	if err != nil {
		return err
	}
	_, err = t.endSessions(`DELETE FROM main.operator_session WHERE operator_id = $1 AND hash NOT IN
		(SELECT hash FROM operator_session WHERE operator_id = $1 ORDER BY created_at DESC, hash DESC LIMIT $2) RETURNING hash`,
		"", s.ActorID, keptSessions)
	return err
}

// endSessions runs a DELETE … RETURNING hash and notes each session's end.
func (t *tx) endSessions(query string, org app.OrgID, args ...any) (int, error) {
	ended, err := rows(t, func(row scanner) (s app.Session, err error) { return s, row.Scan(inBytes(&s.Hash)) }, query, args...)
	for _, s := range ended {
		t.changed("session", s.ID(), org)
	}
	return len(ended), err
}

// OperatorSession finds a session with its operator.
func (s *Store) OperatorSession(ctx context.Context, hash [32]byte) (session app.Session, o app.Operator, err error) {
	err = s.systemRead(ctx, operatorReason, func(tx *tx) error {
		fields := append(operatorSessionFields(&session), operatorFields(&o)...)
		return found("session", tx.row(`SELECT s.hash, s.operator_id, s.created_at, s.last_seen_at, s.reauthed_at, s.expires_at,
			s.address, s.user_agent, o.id, o.email, o.name, o.password_hash, o.created_at
			FROM operator_session s JOIN operator o ON o.id = s.operator_id WHERE s.hash = $1`, inBytes(&hash)).Scan(fields...))
	})
	return session, o, err
}

// OperatorSessions lists an operator's sessions, newest first.
func (s *Store) OperatorSessions(ctx context.Context, id app.OperatorID) (list []app.Session, err error) {
	err = s.systemRead(ctx, operatorReason, func(tx *tx) error {
		list, err = rows(tx, scanOperatorSession, `SELECT `+operatorSessionColumns+` FROM operator_session
			WHERE operator_id = $1 ORDER BY created_at DESC, hash DESC`, id)
		return err
	})
	return list, err
}

// TouchOperatorSession notes that a session was used; only forward.
func (s *Store) TouchOperatorSession(ctx context.Context, hash [32]byte, at time.Time) error {
	return s.system(ctx, operatorReason, func(tx *tx) error {
		_, err := tx.exec(`UPDATE main.operator_session SET last_seen_at = $2 WHERE hash = $1 AND last_seen_at < $2`,
			inBytes(&hash), inMillis(&at))
		return err
	})
}

// UpdateOperatorSession gives a session a new hash after its operator proved
// who it is once more. The old value ends.
func (s *Store) UpdateOperatorSession(ctx context.Context, hash, fresh [32]byte, at time.Time) error {
	return s.system(ctx, operatorReason, func(tx *tx) error {
		n, err := tx.exec(`UPDATE main.operator_session SET hash = $2, reauthed_at = $3, last_seen_at = $3 WHERE hash = $1`,
			inBytes(&hash), inBytes(&fresh), inMillis(&at))
		tx.changed("session", app.Session{Hash: hash}.ID(), "")
		return touched("session", n, err)
	})
}

// DeleteOperatorSession ends one session of the operator.
func (s *Store) DeleteOperatorSession(ctx context.Context, id app.OperatorID, hash [32]byte) error {
	return s.system(ctx, operatorReason, func(tx *tx) error {
		n, err := tx.endSessions(`DELETE FROM main.operator_session WHERE operator_id = $1 AND hash = $2 RETURNING hash`, "", id, inBytes(&hash))
		return touched("session", int64(n), err)
	})
}

// DeleteOperatorSessions ends the operator's sessions but the one to be kept,
// if any, and answers how many.
func (s *Store) DeleteOperatorSessions(ctx context.Context, id app.OperatorID, keep [32]byte) (n int, err error) {
	err = s.system(ctx, operatorReason, func(tx *tx) error {
		n, err = tx.deleteOtherSessions(id, keep)
		return err
	})
	return n, err
}

func (t *tx) deleteOtherSessions(id app.OperatorID, keep [32]byte) (int, error) {
	return t.endSessions(`DELETE FROM main.operator_session WHERE operator_id = $1 AND hash <> $2 RETURNING hash`, "", id, inBytes(&keep))
}

// DeleteExpiredSessions forgets sessions of operators and users that ended by
// time: absolutely before now, or unused since idle.
func (s *Store) DeleteExpiredSessions(ctx context.Context, now, idle time.Time) error {
	return s.system(ctx, "sessions of every organization end by time", func(tx *tx) error {
		for _, table := range []string{"operator_session", "user_session"} {
			_, err := tx.exec(`DELETE FROM main.`+table+` WHERE expires_at <= $1 OR last_seen_at <= $2`, inMillis(&now), inMillis(&idle))
			if err != nil {
				return err
			}
		}
		_, err := tx.exec(`DELETE FROM main.operator_link WHERE expires_at <= $1`, inMillis(&now))
		return err
	})
}
