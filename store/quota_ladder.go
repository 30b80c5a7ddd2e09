package store

import (
	"context"

	"gatehouse/app"
)

// AccountNotices lists what the ladder told of the account.
func (l *Ledger) AccountNotices(ctx context.Context, a app.Account) (list []app.QuotaNotice, err error) {
	err = l.snapshot(ctx, func(t *tx) error {
		list, err = rows(t, scanNotice, `SELECT `+noticeColumns+` FROM quota_notice
			WHERE org_id = $1 AND key_id = $2 AND meter = $3 AND period = $4 AND start_at = $5 ORDER BY threshold`, accountArgs(nil, &a)...)
		return err
	})
	return list, err
}
