// Package app is the ground of Gatehouse: its nouns, its pure rules and its
// errors. It imports the standard library alone, so every room may stand on it.
//
// Amounts are integers: money is micros (millionths) of a US dollar, times are
// time.Time in UTC (the store keeps Unix milliseconds), sizes are bytes.
package app
