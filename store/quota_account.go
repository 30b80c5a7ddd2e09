package store

import (
	"slices"
	"strconv"
	"strings"

	"gatehouse/app"
)

// Columns that name an account, and that name a lease.
const (
	accountKey = `org_id, key_id, meter, period, start_at`
	leaseKey   = accountKey + `, replica`
)

const (
	drawnWidth  = 12 // columns of an account
	lentWidth   = 7  // columns of a lease
	drawsAtOnce = 64 // accounts in one statement to PostgreSQL
)

// applyDraws adds the draws to their accounts and takes them from what the
// replica was lent. The caller's transaction says that their blocks are
// applied. Accounts are locked in one order everywhere.
func (t *tx) applyDraws(replica int64, draws []app.Draw, now int64) error {
	draws = sumDraws(draws)
	atOnce := drawsAtOnce
	if t.dialect.engine == sqliteDialect.engine { // quickest one by one, like buckets
		atOnce = 1
	}
	for part := range slices.Chunk(draws, atOnce) {
		if err := t.drawAccounts(part, now); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(draws, atOnce) {
		if err := t.drawLeases(replica, part); err != nil {
			return err
		}
	}
	return nil
}

// sumDraws sorts draws by their accounts and leaves one for each: a statement
// of PostgreSQL may touch a row only once.
func sumDraws(draws []app.Draw) []app.Draw {
	draws = slices.Clone(draws)
	slices.SortStableFunc(draws, func(a, b app.Draw) int { return a.Account.Compare(b.Account) })
	kept := draws[:0]
	for _, d := range draws {
		if last := len(kept) - 1; last >= 0 && kept[last].Account.Compare(d.Account) == 0 {
			kept[last].Spent += d.Spent
			kept[last].Held += d.Held
			continue
		}
		kept = append(kept, d)
	}
	return kept
}

func (t *tx) drawAccounts(draws []app.Draw, now int64) error {
	args := make([]any, 0, len(draws)*drawnWidth)
	for _, d := range draws {
		args = append(accountArgs(args, d.Account), d.Account.End, d.Spent, d.Held, 0, 0, 0, now)
	}
	_, err := t.exec(`INSERT INTO main.quota_account (`+accountColumns+`) VALUES `+values(len(draws), drawnWidth)+`
		ON CONFLICT (`+accountKey+`) DO UPDATE SET spent = quota_account.spent + excluded.spent,
			held = quota_account.held + excluded.held, updated_at = excluded.updated_at`, args...)
	return err
}

func (t *tx) drawLeases(replica int64, draws []app.Draw) error {
	args := make([]any, 0, len(draws)*lentWidth)
	for _, d := range draws {
		args = append(accountArgs(args, d.Account), replica, -d.Spent)
	}
	_, err := t.exec(`INSERT INTO main.quota_lease (`+leaseKey+`, outstanding) VALUES `+values(len(draws), lentWidth)+`
		ON CONFLICT (`+leaseKey+`) DO UPDATE SET outstanding = quota_lease.outstanding + excluded.outstanding`, args...)
	return err
}

// accountArgs appends what names the account.
func accountArgs(args []any, a *app.Account) []any {
	return append(args, string(a.Org), string(a.Key), a.Meter, string(a.Period), a.Start)
}

// values is n rows of numbered placeholders: ($1, $2), ($3, $4).
func values(n, width int) string {
	var text strings.Builder
	for i := range n * width {
		switch {
		case i == 0:
			text.WriteString("($")
		case i%width == 0:
			text.WriteString("), ($")
		default:
			text.WriteString(", $")
		}
		text.WriteString(strconv.Itoa(i + 1))
	}
	text.WriteByte(')')
	return text.String()
}

const accountColumns = accountKey + `, end_at, spent, held, booked, opening, opened_at, updated_at`
