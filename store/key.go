package store

import (
	"context"
	"strings"
	"time"

	"gatehouse/app"
)

// Columns of api_key and of operator_key.
const keyColumns = `org_id, id, hash, name, hint, scopes, cidrs, rate_limits, expires_at, revoked_at, rotated_to,
	last_used_at, created_at, created_by`

// keyFields stand in the order of keyColumns, as arguments and as targets.
func keyFields(k *app.Key) []any {
	return []any{&k.OrgID, &k.ID, inBytes(&k.Hash), &k.Name, &k.Hint, inJSON(&k.Scopes), inJSON(&k.CIDRs),
		inJSON(&k.RateLimits), inMillis(&k.ExpiresAt), inMillis(&k.RevokedAt), &k.RotatedTo,
		inMillis(&k.LastUsedAt), inMillis(&k.CreatedAt), &k.CreatedBy}
}

func scanKey(row scanner) (k app.Key, err error) { return k, row.Scan(keyFields(&k)...) }

const operatorKeys reason = "the operator's keys belong to no organization"

// keyTable is where the owner's keys are: an empty owner is the operator.
func keyTable(org app.OrgID) string {
	if org == "" {
		return "operator_key"
	}
	return "api_key"
}

// keys is the door to the owner's keys, for writing.
func (s *Store) keys(ctx context.Context, org app.OrgID, fn func(*tx) error) error {
	if org == "" {
		return s.system(ctx, operatorKeys, fn)
	}
	return s.tenant(ctx, org, fn)
}

// keysRead is the door to the owner's keys, for reading.
func (s *Store) keysRead(ctx context.Context, org app.OrgID, fn func(*tx) error) error {
	if org == "" {
		return s.systemRead(ctx, operatorKeys, fn)
	}
	return s.tenantRead(ctx, org, fn)
}

// InsertKey adds a key of the organization, or of the operator when org is
// empty. An organization that does not exist is not found.
func (s *Store) InsertKey(ctx context.Context, org app.OrgID, k app.Key) error {
	return s.keys(ctx, org, func(tx *tx) error { return tx.insertKey(org, k) })
}

func (t *tx) insertKey(org app.OrgID, k app.Key) error {
	k.OrgID = org
	t.changed("key", string(k.ID), org)
	_, err := t.exec(`INSERT INTO main.`+keyTable(org)+` (`+keyColumns+`, search)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		append(keyFields(&k), strings.ToLower(k.Name))...)
	switch {
	case isUnique(err):
		return app.Conflict("key_taken", "There is such a key already.")
	case isForeignKey(err):
		return app.NotFound("organization")
	}
	return err
}

// Key finds a key of the organization, or of the operator when org is empty.
func (s *Store) Key(ctx context.Context, org app.OrgID, id app.KeyID) (k app.Key, err error) {
	err = s.keysRead(ctx, org, func(tx *tx) error {
		k, err = tx.key(org, id, "")
		return err
	})
	return k, err
}

func (t *tx) key(org app.OrgID, id app.KeyID, suffix string) (app.Key, error) {
	k, err := scanKey(t.row(`SELECT `+keyColumns+` FROM `+keyTable(org)+` WHERE org_id = $1 AND id = $2`+suffix, org, id))
	return k, found("key", err)
}

// Keys lists the keys of the organization, or of the operator when org is
// empty, newest first. The filter is active (also in a rotation's grace),
// expired or revoked, at this moment. The search looks in names.
func (s *Store) Keys(ctx context.Context, org app.OrgID, p app.Page) (list app.List[app.Key], err error) {
	l := listing{columns: keyColumns, table: keyTable(org)}
	l.and(`org_id = $`, org)
	if err := filterKeys(&l, p, s.now()); err != nil {
		return list, err
	}
	err = s.keysRead(ctx, org, func(tx *tx) error {
		list, err = page(tx, l, p, scanKey, func(k app.Key) (time.Time, string) { return k.CreatedAt, string(k.ID) })
		return err
	})
	return list, err
}

func filterKeys(l *listing, p app.Page, now time.Time) error {
	switch app.KeyState(p.Filter) {
	case "":
	case app.KeyStateActive:
		l.and(`revoked_at = 0 AND (expires_at = 0 OR expires_at > $)`, now.UnixMilli())
	case app.KeyStateExpired:
		l.and(`revoked_at = 0 AND expires_at <> 0 AND expires_at <= $`, now.UnixMilli())
	case app.KeyStateRevoked:
		l.and(`revoked_at <> 0`)
	default:
		return app.Invalid("filter", "must be active, expired or revoked")
	}
	return l.contains("search", p.Search)
}

// KeyByHash finds the key of whichever owner by the SHA-256 of its secret.
func (s *Store) KeyByHash(ctx context.Context, hash [32]byte) (k app.Key, err error) {
	err = s.systemRead(ctx, "a secret names its owner", func(tx *tx) error {
		k, err = scanKey(tx.row(`SELECT `+keyColumns+` FROM api_key WHERE hash = $1
			UNION ALL SELECT `+keyColumns+` FROM operator_key WHERE hash = $1`, inBytes(&hash)))
		return found("key", err)
	})
	return k, err
}

// RevokeKey ends the key at the time unless it is revoked already, and answers
// it as it is then.
func (s *Store) RevokeKey(ctx context.Context, org app.OrgID, id app.KeyID, at time.Time) (k app.Key, err error) {
	err = s.keys(ctx, org, func(tx *tx) error {
		n, err := tx.exec(`UPDATE main.`+keyTable(org)+` SET revoked_at = $3 WHERE org_id = $1 AND id = $2 AND revoked_at = 0`,
			org, id, millis(at))
		if err != nil {
			return found("key", err)
		}
		if n > 0 {
			tx.changed("key", string(id), org)
		}
		k, err = tx.key(org, id, "")
		return err
	})
	return k, err
}

// RotateKey inserts fresh and ends the key id at endsAt, in one step, if that
// is neither revoked nor expired nor rotated at the moment; otherwise nothing
// happens and the answer is the conflict key_not_active. Quotas of the old key
// are the fresh one's too; what was used of them is not.
func (s *Store) RotateKey(ctx context.Context, org app.OrgID, id app.KeyID, endsAt time.Time, fresh app.Key) error {
	return s.keys(ctx, org, func(tx *tx) error {
		old, err := tx.key(org, id, tx.dialect.lockRow)
		if err != nil {
			return err
		}
		if state := old.State(s.now()); state != app.KeyStateActive {
			return app.Conflict("key_not_active", "The key is %s, so it cannot be rotated.", state)
		}
		if err := tx.insertKey(org, fresh); err != nil {
			return err
		}
		tx.changed("key", string(id), org)
		_, err = tx.exec(`UPDATE main.`+keyTable(org)+` SET rotated_to = $3, expires_at = $4 WHERE org_id = $1 AND id = $2`,
			org, id, fresh.ID, millis(endsAt))
		if err != nil || org == "" {
			return err
		}
		return tx.copyKeyQuotas(org, id, fresh.ID)
	})
}
