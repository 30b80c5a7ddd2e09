// Package quota keeps hard caps: what a request may take is reserved before it
// is forwarded, and settled by what it took.
//
// The ledger alone says what was spent (app/metering); each account in the
// database is the fold of its draws. A replica may not spend what it was not
// lent: a lease is granted in a transaction in which what is spent, lent and
// booked stays within the ceiling. From there on requests are admitted in
// memory. A replica that dies leaves its worst cases charged and its lease
// outstanding, until somebody has settled the one and dropped the other.
package quota
