// Package token mints and verifies JWTs: the assertion that tells the app who
// calls, signed by keys that rotate, and the tokens of outside issuers that
// people bring along.
package token
