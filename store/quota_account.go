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

	accountColumns = accountKey + `, end_at, spent, held, booked, opening, opened_at, updated_at`
	leaseColumns   = leaseKey + `, outstanding, lent, turn`
)

const (
	drawnWidth  = 12 // columns of an account
	lentWidth   = 9  // columns of a lease
	drawsAtOnce = 64 // accounts in one statement to PostgreSQL
)

// applyDraws adds the draws to their accounts and takes them from what the
// replica was lent. The caller's transaction says that their blocks are
// applied. Accounts are locked in one order everywhere.
func (t *tx) applyDraws(replica int64, draws []app.Draw, now int64) error {
	draws = sumDraws(draws)
	now, err := t.changing(now)
	if err != nil {
		return err
	}
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
		ON CONFLICT (`+accountKey+`) DO UPDATE SET spent = `+boundedSum("quota_account", "spent")+`,
			held = `+boundedSum("quota_account", "held")+`, updated_at = `+laterChange("excluded.updated_at"), args...)
	return err
}

func (t *tx) drawLeases(replica int64, draws []app.Draw) error {
	args := make([]any, 0, len(draws)*lentWidth)
	for _, d := range draws {
		args = append(accountArgs(args, d.Account), replica, -d.Spent, 0, 0)
	}
	_, err := t.exec(`INSERT INTO main.quota_lease (`+leaseColumns+`) VALUES `+values(len(draws), lentWidth)+`
		ON CONFLICT (`+leaseKey+`) DO UPDATE SET outstanding = `+boundedSum("quota_lease", "outstanding"), args...)
	return err
}

// boundedSum adds a column of an upsert to what is there, and stays at 2^62
// either way: one organization's absurd numbers must not keep everybody's
// blocks from being folded, by an overflow.
func boundedSum(table, column string) string {
	const most = `4611686018427387904`
	old, more := table+`.`+column, `excluded.`+column
	return `CASE WHEN ` + more + ` > 0 AND ` + old + ` > ` + most + ` - ` + more + ` THEN ` + most +
		` WHEN ` + more + ` < 0 AND ` + old + ` < -` + most + ` - ` + more + ` THEN -` + most + ` ELSE ` + old + ` + ` + more + ` END`
}

// changing is when an account that is about to change has changed: by the
// database's clock, so that who looks for changes misses none of a process
// whose own clock is slow. On SQLite one process alone changes them, at now.
func (t *tx) changing(now int64) (int64, error) {
	if t.dialect.engine != postgresDialect.engine {
		return now, nil
	}
	return now, t.row(`SELECT ` + postgresClock).Scan(&now)
}

// laterChange never goes back: a clock may.
func laterChange(now string) string {
	return `CASE WHEN quota_account.updated_at > ` + now + ` THEN quota_account.updated_at ELSE ` + now + ` END`
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

// sameLease joins the leases l of an account a.
const sameLease = `l.org_id = a.org_id AND l.key_id = a.key_id AND l.meter = a.meter AND l.period = a.period AND l.start_at = a.start_at`

// accountStateColumns are read by scanAccountState, FROM quota_account a. More
// than it was lent a replica has not outstanding: a correction that takes usage
// off, on a chain that borrows nothing, is room for everybody.
const accountStateColumns = `a.org_id, a.key_id, a.meter, a.period, a.start_at, a.end_at, a.spent, a.held, a.booked, a.opening,
	a.opened_at, a.updated_at, (SELECT CAST(COALESCE(SUM(CASE WHEN l.outstanding > l.lent THEN l.lent WHEN l.outstanding > 0 THEN l.outstanding ELSE 0 END), 0) AS BIGINT)
	FROM quota_lease l WHERE ` + sameLease + `)`

func scanAccountState(row scanner) (a app.AccountState, err error) {
	return a, row.Scan(&a.Org, &a.Key, &a.Meter, &a.Period, &a.Start, &a.End, &a.Spent, &a.Held, &a.Booked, &a.Opening,
		inMillis(&a.OpenedAt), inMillis(&a.UpdatedAt), &a.Leased)
}
