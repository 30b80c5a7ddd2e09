package store

import (
	"context"
	"time"

	"gatehouse/app"
)

const operatorReason reason = "operators belong to no organization"

const operatorColumns = `id, email, name, password_hash, created_at`

func operatorFields(o *app.Operator) []any {
	return []any{&o.ID, &o.Email, &o.Name, &o.PasswordHash, inMillis(&o.CreatedAt)}
}

func scanOperator(row scanner) (o app.Operator, err error) { return o, row.Scan(operatorFields(&o)...) }

// Operator finds an operator by its id.
func (s *Store) Operator(ctx context.Context, id app.OperatorID) (o app.Operator, err error) {
	err = s.systemRead(ctx, operatorReason, func(tx *tx) error {
		o, err = scanOperator(tx.row(`SELECT `+operatorColumns+` FROM operator WHERE id = $1`, id))
		return found("operator", err)
	})
	return o, err
}

// OperatorByEmail finds an operator by its address, which is in lower case.
func (s *Store) OperatorByEmail(ctx context.Context, email string) (o app.Operator, err error) {
	err = s.systemRead(ctx, operatorReason, func(tx *tx) error {
		o, err = scanOperator(tx.row(`SELECT `+operatorColumns+` FROM operator WHERE email = $1`, email))
		return found("operator", err)
	})
	return o, err
}

// Operators lists all operators, the first one first.
func (s *Store) Operators(ctx context.Context) (list []app.Operator, err error) {
	err = s.systemRead(ctx, operatorReason, func(tx *tx) error {
		list, err = rows(tx, scanOperator, `SELECT `+operatorColumns+` FROM operator ORDER BY created_at, id`)
		return err
	})
	return list, err
}

// InsertOperator adds an operator; from then on the installation cannot be
// claimed any more. Errors: conflict email_taken.
func (s *Store) InsertOperator(ctx context.Context, o app.Operator) error {
	return s.system(ctx, operatorReason, func(tx *tx) error {
		_, err := tx.exec(`INSERT INTO main.operator_claim (id, hash, expires_at, claimed_at) VALUES (1, $1, 0, $2)
			ON CONFLICT (id) DO UPDATE SET claimed_at = excluded.claimed_at WHERE operator_claim.claimed_at = 0`,
			[]byte{}, inMillis(&o.CreatedAt))
		if err != nil {
			return err
		}
		return tx.insertOperator(o)
	})
}

func (t *tx) insertOperator(o app.Operator) error {
	t.changed("operator", string(o.ID), "")
	_, err := t.exec(`INSERT INTO main.operator (`+operatorColumns+`) VALUES ($1, $2, $3, $4, $5)`, operatorFields(&o)...)
	if isUnique(err) {
		return app.Conflict("email_taken", "There is an operator with this e-mail address already.")
	}
	return err
}

// UpdateOperatorPassword puts a new hash in place of the one that was read. A
// conflict password_changed says that it was changed meanwhile.
func (s *Store) UpdateOperatorPassword(ctx context.Context, id app.OperatorID, before, after string) error {
	return s.system(ctx, operatorReason, func(tx *tx) error {
		return tx.updatePassword(id, before, after)
	})
}

func (t *tx) updatePassword(id app.OperatorID, before, after string) error {
	n, err := t.exec(`UPDATE main.operator SET password_hash = $3 WHERE id = $1 AND password_hash = $2`, id, before, after)
	if err == nil && n == 0 {
		return app.Conflict("password_changed", "The password was changed at the same moment.")
	}
	return err
}

// ReplaceOperatorPassword puts a new hash in place of the one that was read and
// ends the operator's sessions and links, but not the session to be kept, if any.
func (s *Store) ReplaceOperatorPassword(ctx context.Context, id app.OperatorID, before, after string, keep [32]byte) error {
	return s.system(ctx, operatorReason, func(tx *tx) error {
		if err := tx.updatePassword(id, before, after); err != nil {
			return err
		}
		if _, err := tx.exec(`DELETE FROM main.operator_link WHERE operator_id = $1`, id); err != nil {
			return err
		}
		tx.changed("operator", string(id), "")
		_, err := tx.deleteOtherSessions(id, keep)
		return err
	})
}

// DeleteOperator removes an operator with its sessions and links. The last one
// stays: conflict last_operator.
func (s *Store) DeleteOperator(ctx context.Context, id app.OperatorID) error {
	return s.system(ctx, operatorReason, func(tx *tx) error {
		// The claim's row serves as the lock: two operators who delete each
		// other at once would otherwise both find one left.
		if _, err := tx.exec(`UPDATE main.operator_claim SET id = 1 WHERE id = 1`); err != nil {
			return err
		}
		others, exists := 0, 0
		err := tx.row(`SELECT COUNT(*) FILTER (WHERE id <> $1), COUNT(*) FILTER (WHERE id = $1) FROM operator`, id).Scan(&others, &exists)
		switch {
		case err != nil:
			return err
		case exists == 0:
			return app.NotFound("operator")
		case others == 0:
			return app.Conflict("last_operator", "The last operator cannot be removed.")
		}
		if _, err := tx.deleteOtherSessions(id, [32]byte{}); err != nil {
			return err
		}
		tx.changed("operator", string(id), "")
		n, err := tx.exec(`DELETE FROM main.operator WHERE id = $1`, id)
		return touched("operator", n, err)
	})
}

// UpdateClaim puts a new claim link in place of the former, which ends. It
// answers false, and changes nothing, once the installation has been claimed.
func (s *Store) UpdateClaim(ctx context.Context, hash [32]byte, expires time.Time) (open bool, err error) {
	err = s.system(ctx, operatorReason, func(tx *tx) error {
		n, err := tx.exec(`INSERT INTO main.operator_claim (id, hash, expires_at, claimed_at) VALUES (1, $1, $2, 0)
			ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at
			WHERE operator_claim.claimed_at = 0`, inBytes(&hash), inMillis(&expires))
		open = n == 1
		return err
	})
	return open, err
}

// Claimed reports whether the installation has an operator.
func (s *Store) Claimed(ctx context.Context) (claimed bool, err error) {
	err = s.systemRead(ctx, operatorReason, func(tx *tx) error {
		return tx.row(`SELECT COUNT(*) > 0 FROM operator_claim WHERE claimed_at > 0`).Scan(&claimed)
	})
	return claimed, err
}

// ClaimOpen reports whether the claim link holds now.
func (s *Store) ClaimOpen(ctx context.Context, hash [32]byte, now time.Time) (open bool, err error) {
	err = s.systemRead(ctx, operatorReason, func(tx *tx) error {
		return tx.row(`SELECT COUNT(*) > 0 FROM operator_claim WHERE hash = $1 AND claimed_at = 0 AND expires_at > $2`,
			inBytes(&hash), inMillis(&now)).Scan(&open)
	})
	return open, err
}

// InsertFirstOperator claims the installation with the link. However many try
// at once, one succeeds; the others get claimed = false, as for a wrong link.
func (s *Store) InsertFirstOperator(ctx context.Context, hash [32]byte, o app.Operator) (claimed bool, err error) {
	err = s.system(ctx, operatorReason, func(tx *tx) error {
		n, err := tx.exec(`UPDATE main.operator_claim SET claimed_at = $2 WHERE id = 1 AND hash = $1 AND claimed_at = 0 AND expires_at > $2`,
			inBytes(&hash), inMillis(&o.CreatedAt))
		if claimed = n == 1; err != nil || !claimed {
			return err
		}
		return tx.insertOperator(o)
	})
	return claimed && err == nil, err
}

// InsertOperatorLink adds a one-time link that signs the operator in, and
// forgets those that have expired.
func (s *Store) InsertOperatorLink(ctx context.Context, id app.OperatorID, hash [32]byte, now, expires time.Time) error {
	return s.system(ctx, operatorReason, func(tx *tx) error {
		_, err := tx.exec(`DELETE FROM main.operator_link WHERE expires_at <= $1`, inMillis(&now))
		if err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO main.operator_link (hash, operator_id, expires_at) VALUES ($1, $2, $3)`,
			inBytes(&hash), id, inMillis(&expires))
		if isForeignKey(err) {
			return app.NotFound("operator")
		}
		return err
	})
}

// OperatorLinkOpen reports whether the one-time link holds now.
func (s *Store) OperatorLinkOpen(ctx context.Context, hash [32]byte, now time.Time) (open bool, err error) {
	err = s.systemRead(ctx, operatorReason, func(tx *tx) error {
		return tx.row(`SELECT COUNT(*) > 0 FROM operator_link WHERE hash = $1 AND expires_at > $2`,
			inBytes(&hash), inMillis(&now)).Scan(&open)
	})
	return open, err
}
