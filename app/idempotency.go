package app

import "time"

// IdempotencyLife is how long an answer is kept for a caller that repeats its
// request with the same Idempotency-Key.
const IdempotencyLife = 24 * time.Hour

// Idempotency is a request that its caller may repeat without doing it twice.
type Idempotency struct {
	Actor   string   // who asks: Actor.String()
	Key     string   // the caller's Idempotency-Key
	Request [32]byte // SHA-256 of what was asked: method, path and body
	At      time.Time
}

// IdempotentAnswer is what the first of the requests was answered. The Body is
// sealed: it may hold a secret that is shown once.
type IdempotentAnswer struct {
	Status int
	Body   []byte
}
