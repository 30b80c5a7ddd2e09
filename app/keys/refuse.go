package keys

import (
	"net/netip"
	"time"

	"gatehouse/app"
)

// Refusal answers why a known key may not be used now from the address, or
// nil. It is the check of every request, cached key or not, so that a key ends
// at its minute and not when a cache forgets it. It allocates only to refuse.
func Refusal(k *app.Key, addr netip.Addr, now time.Time) *app.Error {
	switch {
	case !k.RevokedAt.IsZero():
		return unauthenticated("key_revoked", "This API key was revoked.", "Use another key, or create one.")
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		if k.RotatedTo != "" {
			return unauthenticated("key_rotated", "This API key was replaced, and its grace has ended.", "Use the key that replaced it.")
		}
		return unauthenticated("key_expired", "This API key has expired.", "Create a new key.")
	case !k.AllowsAddress(addr):
		return &app.Error{Kind: app.KindForbidden, Code: "key_address", Message: "This API key may not be used from this address.",
			Advice: "Call from an address that the key allows, or use another key."}
	}
	return nil
}

// ErrMalformed is the answer to a secret that Parse refuses.
func ErrMalformed() *app.Error {
	return unauthenticated("key_malformed", "This is not a Gatehouse API key: its form or its checksum is wrong.",
		"Copy the whole key; it looks like gk_live_ and 36 letters and digits.")
}

// ErrUnknown is the answer to a well-formed secret that belongs to no key.
func ErrUnknown() *app.Error {
	return unauthenticated("key_unknown", "There is no such API key.", "Check that the key belongs to this installation.")
}

func unauthenticated(code, message, advice string) *app.Error {
	return &app.Error{Kind: app.KindUnauthenticated, Code: code, Message: message, Advice: advice}
}
