package app

import "math"

// NoCeiling is the ceiling of a soft quota.
const NoCeiling = math.MaxInt64

// QuotaClaim asks for a loan from an account: room that a replica may give
// away without asking again.
type QuotaClaim struct {
	Account *Account
	Ceiling int64  // what the account may hold in all; NoCeiling lends nothing
	Need    int64  // the least that helps; less is not lent. 0 only opens the account
	Want    int64  // what all who wait need, at least Need
	Share   int64  // of what is left, a Share-th part is lent where that is more
	Opening *int64 // what was used before the account was opened and is in no draw on it; nil: not looked up yet
}

// QuotaLoan answers a claim.
type QuotaLoan struct {
	Missing bool  // the account is new, and the claim has no opening: nothing was done
	Granted int64 // what this claim was lent
	Debt    int64 // of Granted, what covers what the replica had spent beyond its loans
	Lent    int64 // what the replica was lent of the account in all, less what it gave back
	Turn    int64 // names the state of the lease, for QuotaReturn
	Left    int64 // what could still be lent to others
	State   AccountState
}

// QuotaReturn gives back what a replica was lent and does not need.
type QuotaReturn struct {
	Account *Account
	Amount  int64
	Turn    int64 // of the last loan or return; another says that somebody came between
}

// QuotaReturned answers a return: Amount was taken, never more than is
// outstanding. Stale says that the turn was another one and nothing was taken.
type QuotaReturned struct {
	Amount int64
	Turn   int64
	Stale  bool
}

// QuotaBooking books an amount on an account, or gives it back when it is
// negative.
type QuotaBooking struct {
	Account *Account
	Ceiling int64 // beyond which nothing is booked; NoCeiling: always
	Amount  int64
	Opening *int64 // as QuotaClaim's
}
