package store

import (
	"context"

	"gatehouse/app"
)

const signingKeyReason reason = "signing keys belong to the installation"

const signingKeyColumns = `id, algorithm, state, public, sealed, created_at, active_at, retired_at, gone_at`

func signingKeyFields(k *app.SigningKey) []any {
	return []any{&k.ID, &k.Algorithm, &k.State, &k.Public, &k.Sealed,
		inMillis(&k.CreatedAt), inMillis(&k.ActiveAt), inMillis(&k.RetiredAt), inMillis(&k.GoneAt)}
}

func scanSigningKey(row scanner) (k app.SigningKey, err error) {
	return k, row.Scan(signingKeyFields(&k)...)
}

// SigningKeys lists the signing keys, the oldest first.
func (s *Store) SigningKeys(ctx context.Context) (list []app.SigningKey, err error) {
	err = s.systemRead(ctx, signingKeyReason, func(tx *tx) error {
		list, err = tx.signingKeys()
		return err
	})
	return list, err
}

func (t *tx) signingKeys() ([]app.SigningKey, error) {
	return rows(t, scanSigningKey, `SELECT `+signingKeyColumns+` FROM signing_key ORDER BY created_at, id`)
}

// ChangeSigningKeys puts in place of the signing keys what change makes of
// them, and answers that. One caller at a time, over all processes, gets its
// turn. change must be quick.
func (s *Store) ChangeSigningKeys(ctx context.Context, change func([]app.SigningKey) []app.SigningKey) (list []app.SigningKey, err error) {
	err = s.system(ctx, signingKeyReason, func(tx *tx) error {
		if _, err := tx.exec(`UPDATE main.signing_rotation SET turns = turns + 1 WHERE id = 1`); err != nil {
			return err
		}
		before, err := tx.signingKeys()
		if err != nil {
			return err
		}
		for _, k := range before {
			if _, err := tx.exec(`DELETE FROM main.signing_key WHERE id = $1`, k.ID); err != nil {
				return err
			}
		}
		for _, k := range change(before) {
			_, err := tx.exec(`INSERT INTO main.signing_key (`+signingKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
				signingKeyFields(&k)...)
			if err != nil {
				return err
			}
		}
		tx.changed("signing_key", "", "")
		list, err = tx.signingKeys()
		return err
	})
	return list, err
}
