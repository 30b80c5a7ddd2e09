package app

import "time"

// SigningState is where a signing key stands in its life.
type SigningState string

// States of a signing key, in the order in which it passes them.
const (
	SigningStateNext     SigningState = "next"     // published, signs nothing yet
	SigningStateCurrent  SigningState = "current"  // signs
	SigningStateRetiring SigningState = "retiring" // published until all that it signed has expired
)

// SigningKey signs the tokens that Gatehouse mints. Replicas share it through
// the store, where the private half is sealed with the installation's key.
type SigningKey struct {
	ID        string       `json:"kid"` // RFC 7638 thumbprint of the public half
	Algorithm string       `json:"alg"` // EdDSA, ES256 or RS256
	State     SigningState `json:"state"`
	Public    []byte       `json:"-"` // PKIX, DER
	Sealed    []byte       `json:"-"` // PKCS #8, DER, sealed for "signing_key:<kid>"
	CreatedAt time.Time    `json:"created_at"`
	ActiveAt  time.Time    `json:"active_at,omitzero"`  // when it became current
	RetiredAt time.Time    `json:"retired_at,omitzero"` // when the next one took over
	GoneAt    time.Time    `json:"gone_at,omitzero"`    // when it is no longer published
}
