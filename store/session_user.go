package store

import (
	"context"
	"time"

	"gatehouse/app"
)

const userSessionColumns = `org_id, hash, user_id, scopes, created_at, last_seen_at, expires_at, address, user_agent`

func userSessionFields(s *app.Session) []any {
	s.Kind = app.ActorUser
	return []any{&s.OrgID, inBytes(&s.Hash), &s.ActorID, inJSON(&s.Scopes), inMillis(&s.CreatedAt), inMillis(&s.LastSeenAt),
		inMillis(&s.ExpiresAt), &s.Address, &s.UserAgent}
}

func scanUserSession(row scanner) (s app.Session, err error) {
	return s, row.Scan(userSessionFields(&s)...)
}

// InsertUserSession adds a session of a user in the organization.
func (s *Store) InsertUserSession(ctx context.Context, org app.OrgID, session app.Session) error {
	session.OrgID = org
	return s.tenant(ctx, org, func(tx *tx) error {
		_, err := tx.exec(`INSERT INTO main.user_session (`+userSessionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			userSessionFields(&session)...)
		if isForeignKey(err) {
			return app.NotFound("organization")
		}
		if err != nil {
			return err
		}
		_, err = tx.endSessions(`DELETE FROM main.user_session WHERE org_id = $1 AND user_id = $2 AND hash NOT IN
			(SELECT hash FROM user_session WHERE org_id = $1 AND user_id = $2 ORDER BY created_at DESC, hash DESC LIMIT $3)
			RETURNING hash`, org, org, session.ActorID, keptSessions)
		return err
	})
}

// UserSessionByHash finds a session by the hash of its value, which names its
// organization.
func (s *Store) UserSessionByHash(ctx context.Context, hash [32]byte) (session app.Session, err error) {
	err = s.systemRead(ctx, "a session's value names its organization", func(tx *tx) error {
		session, err = scanUserSession(tx.row(`SELECT `+userSessionColumns+` FROM user_session WHERE hash = $1`, inBytes(&hash)))
		return found("session", err)
	})
	return session, err
}

// UserSessions lists a user's sessions in the organization, newest first.
func (s *Store) UserSessions(ctx context.Context, org app.OrgID, user string) (list []app.Session, err error) {
	err = s.tenantRead(ctx, org, func(tx *tx) error {
		list, err = rows(tx, scanUserSession, `SELECT `+userSessionColumns+` FROM user_session
			WHERE org_id = $1 AND user_id = $2 ORDER BY created_at DESC, hash DESC`, org, user)
		return err
	})
	return list, err
}

// TouchUserSession notes that a session was used; only forward.
func (s *Store) TouchUserSession(ctx context.Context, org app.OrgID, hash [32]byte, at time.Time) error {
	return s.tenant(ctx, org, func(tx *tx) error {
		_, err := tx.exec(`UPDATE main.user_session SET last_seen_at = $3 WHERE org_id = $1 AND hash = $2 AND last_seen_at < $3`,
			org, inBytes(&hash), inMillis(&at))
		return err
	})
}

// DeleteUserSession ends one session of the organization.
func (s *Store) DeleteUserSession(ctx context.Context, org app.OrgID, hash [32]byte) error {
	return s.tenant(ctx, org, func(tx *tx) error {
		n, err := tx.endSessions(`DELETE FROM main.user_session WHERE org_id = $1 AND hash = $2 RETURNING hash`, org, org, inBytes(&hash))
		return touched("session", int64(n), err)
	})
}

// DeleteUserSessions ends all sessions of the user in the organization, and
// answers how many there were.
func (s *Store) DeleteUserSessions(ctx context.Context, org app.OrgID, user string) (n int, err error) {
	err = s.tenant(ctx, org, func(tx *tx) error {
		n, err = tx.endSessions(`DELETE FROM main.user_session WHERE org_id = $1 AND user_id = $2 RETURNING hash`, org, org, user)
		return err
	})
	return n, err
}
