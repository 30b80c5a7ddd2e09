// Package metering counts every request that passes the gate, durably and
// exactly once, and reports what was counted.
//
// A request is written twice: an INTENT says that it passed, before the client
// has its answer; a SETTLE says how it ended, soon after. Records of many
// requests share a commit, which is one block: packed, checksummed and chained
// by hash to the block before. Usage buckets are the fold of the blocks; a row
// of each chain says how far it went, changed in the same transaction, so a
// crash neither loses nor doubles what it interrupts.
//
// Beside requests, blocks hold quantities of meters, worst cases that a request
// may take until its SETTLE tells (holds), and what both change of quotas'
// accounts (draws). They are folded in the same transaction, so what a quota
// says and what usage says never part.
//
// A process that falls silent is taken over: fenced, so that it can never write
// again, and ended with a last block that counts each open worst case as an
// estimate (takeover.go, final.go). The gate stops to lend room of quotas
// before that (pulse.go).
//
// The files in the order of a request's way: ledger.go, pending.go, ticket.go,
// writer.go, pace.go, fill.go, block.go, sums.go, apply.go; those that end in
// _meter hold what concerns quantities. Beside them stand reports.go (what
// people read), adjust.go (how they correct it) and check.go (the proof, which
// verifier.go repeats).
package metering
