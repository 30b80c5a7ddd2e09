package store

import (
	"context"
	"time"

	"gatehouse/app"
)

const noticeColumns = `org_id, key_id, meter, period, start_at, threshold, id, amount, used, created_at`

const noticeReason reason = "the operator hears of every organization's quotas"

// InsertNotice keeps the notice, unless there is one of its account and
// threshold: then it was somebody else's, and first is false. Nor is it first
// of a period that began so long ago that PruneNotices may have removed one.
func (l *Ledger) InsertNotice(ctx context.Context, n app.QuotaNotice) (first bool, err error) {
	const clocks = 24 * time.Hour // by which those of replicas may differ
	if n.Period != app.PeriodLifetime && n.Start.Before(l.db.now().Add(clocks-app.NoticeLife)) {
		return false, nil
	}
	err = l.db.system(ctx, noticeReason, func(t *tx) error {
		added, err := t.exec(`INSERT INTO main.quota_notice (`+noticeColumns+`) VALUES `+values(1, 10)+` ON CONFLICT DO NOTHING`,
			string(n.Org), string(n.Key), n.Meter, string(n.Period), millis(n.Start), n.Threshold, n.ID, n.Limit, n.Used, millis(n.At))
		first = added == 1
		return err
	})
	return first && err == nil, err
}

// Notices lists notices, newest first: of the organization, or of all when it
// is empty.
func (l *Ledger) Notices(ctx context.Context, org app.OrgID, p app.Page) (list app.List[app.QuotaNotice], err error) {
	q := listing{columns: noticeColumns, table: "quota_notice"}
	if org != "" {
		q.and(`org_id = $`, string(org))
	}
	err = l.snapshot(ctx, func(t *tx) error {
		list, err = page(t, q, p, scanNotice, func(n app.QuotaNotice) (time.Time, string) { return n.At, n.ID })
		return err
	})
	return list, err
}

func scanNotice(row scanner) (n app.QuotaNotice, err error) {
	return n, row.Scan(&n.Org, &n.Key, &n.Meter, &n.Period, inMillis(&n.Start), &n.Threshold, &n.ID, &n.Limit, &n.Used, inMillis(&n.At))
}
