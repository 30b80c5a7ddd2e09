package app

import (
	"cmp"
	"time"
)

// Account is where usage of one meter is held against a quota: of an
// organization, or of one of its keys, in one period. It is named by its
// period and never reset: the next period has an account of its own.
type Account struct {
	Org    OrgID
	Key    KeyID // empty: the whole organization's
	Meter  string
	Period QuotaPeriod
	Start  int64 // Unix milliseconds; of a lifetime 0
	End    int64 // not part of it; of a lifetime 0
}

// Compare orders accounts by what names them, for locks in one order.
func (a *Account) Compare(b *Account) int {
	return cmp.Or(cmp.Compare(a.Org, b.Org), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Meter, b.Meter),
		cmp.Compare(a.Period, b.Period), cmp.Compare(a.Start, b.Start))
}

// Draw changes an account. Spent is what is charged, Held the part of it which
// is a worst case that a later draw corrects. A request that may take up to 100
// draws {100, 100}, and when it took 30 {-70, -100}: so a crash in between
// leaves the worst case charged, and never a refund of what was used.
type Draw struct {
	Account *Account // shared: one pointer per account and process, to be compared
	Spent   int64
	Held    int64
}

// AccountState is an account as the buckets show it.
type AccountState struct {
	Account
	Spent     int64     // with what is held
	Held      int64     // reserved by requests under way
	Booked    int64     // reserved by reservations under way
	Opening   int64     // part of Spent: usage from before the account was opened
	Leased    int64     // lent to replicas and not yet spent
	OpenedAt  time.Time // zero: known by draws alone
	UpdatedAt time.Time
}

// Used is what was really taken.
func (a AccountState) Used() int64 { return a.Spent - a.Held }

// Reserved is what may be taken by what runs.
func (a AccountState) Reserved() int64 { return a.Held + a.Booked }

// AccountsPruned is what is left of the accounts of one organization or key,
// meter and kind of period, once their rows were removed: the sum of what was
// drawn on them. An account that is drawn on again gets a new row, which holds
// only what was drawn since.
type AccountsPruned struct {
	Org      OrgID
	Key      KeyID
	Meter    string
	Period   QuotaPeriod
	Upto     int64 // Unix milliseconds: some accounts that ended by then were removed, and none that ended later
	Spent    int64 // drawn on those, without openings
	Accounts int64 // how many rows were removed
}
