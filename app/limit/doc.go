// Package limit decides whether a request may pass now: rate limits (GCRA, the
// generic cell rate algorithm), caps on what runs at once, and the limiter of
// addresses that stands before authentication.
//
// A Cell is the state of one limit for one key, organization or route. Cells
// are resolved once, by an Authority, and held by the caller; a request then
// takes from all of its cells at once, or from none. There are two
// authorities: Local, for which the cell in memory is the truth, and Shared,
// for replicas, where the truth is in Redis and a replica spends leased units
// in its own process.
//
// Over any interval of length t the units allowed never exceed
// burst + rate·t, under concurrency and, with Shared, over all replicas.
package limit
