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
// The files in the order of a request's way: ledger.go, ticket.go, writer.go,
// pace.go, fill.go, block.go, sums.go, apply.go. Beside it stand reports.go
// (what people read) and check.go (the proof).
package metering
