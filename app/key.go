package app

import (
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// Key is an API key: a machine credential of one organization, or of the
// operator when OrgID is empty. The secret itself is never kept, only Hash.
type Key struct {
	ID         KeyID          `json:"id"`
	OrgID      OrgID          `json:"org_id,omitempty"` // empty: an operator's key for the management API
	Name       string         `json:"name"`
	Hint       string         `json:"hint"` // "gk_live_7Qb2…x9Fd": what may be shown again
	Hash       [32]byte       `json:"-"`    // SHA-256 of the whole secret
	Scopes     []string       `json:"scopes"`
	CIDRs      []netip.Prefix `json:"cidrs"` // none is any address
	RateLimits []RateLimit    `json:"rate_limits,omitempty"`
	ExpiresAt  time.Time      `json:"expires_at,omitzero"`
	RevokedAt  time.Time      `json:"revoked_at,omitzero"`
	RotatedTo  KeyID          `json:"rotated_to,omitempty"` // the key that replaces this one
	LastUsedAt time.Time      `json:"last_used_at,omitzero"`
	CreatedAt  time.Time      `json:"created_at"`
	CreatedBy  string         `json:"created_by,omitempty"` // an actor, such as "operator:opr_…"
}

// Actor is who a request with this key is: the operator's machine, or the key
// of an organization.
func (k Key) Actor() Actor {
	kind := ActorKey
	if k.OrgID == "" {
		kind = ActorOperator
	}
	return Actor{Kind: kind, ID: string(k.ID), OrgID: k.OrgID, KeyID: k.ID, Scopes: k.Scopes}
}

// MintedKey is a key with its secret, at the only moment when it is known.
type MintedKey struct {
	Key
	Secret string `json:"key"`
}

// KeyState is what a list shows of a key.
type KeyState string

// States of a key.
const (
	KeyStateActive  KeyState = "active"
	KeyStateRotated KeyState = "rotated" // replaced, in its grace
	KeyStateExpired KeyState = "expired"
	KeyStateRevoked KeyState = "revoked"
)

// State tells the key's state at the time.
func (k Key) State(now time.Time) KeyState {
	switch {
	case !k.RevokedAt.IsZero():
		return KeyStateRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return KeyStateExpired
	case k.RotatedTo != "":
		return KeyStateRotated
	}
	return KeyStateActive
}

// Bounds of a key's lists.
const (
	MaxScopes = 50
	MaxCIDRs  = 50
)

var scopePattern = regexp.MustCompile(`^(\*|[a-z0-9_.-]{1,40}(:([a-z0-9_.-]{1,40}|\*)){0,3})$`)

// ValidScope reports whether the text is a scope: "*", "files", "files:read"
// or "files:*".
func ValidScope(scope string) bool { return scopePattern.MatchString(scope) }

// Grants reports whether the held scopes cover the wanted one: equal, "*", or
// a prefix that ends in ":*".
func Grants(held []string, want string) bool {
	for _, scope := range held {
		if scope == want || scope == "*" {
			return true
		}
		if prefix, ok := strings.CutSuffix(scope, "*"); ok && strings.HasPrefix(want, prefix) {
			return true
		}
	}
	return false
}

// AllowsAddress reports whether the key may be used from the address.
func (k Key) AllowsAddress(addr netip.Addr) bool {
	if len(k.CIDRs) == 0 {
		return true
	}
	addr = addr.Unmap()
	for _, prefix := range k.CIDRs {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
