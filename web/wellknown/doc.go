// Package wellknown answers what machines ask of the gate itself: whether it
// lives, whether it is ready, its metrics, and the public keys that verify
// its assertions.
package wellknown
