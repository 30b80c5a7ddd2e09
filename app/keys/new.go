package keys

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"gatehouse/app"
)

// Environments of a key; they differ in the secret's prefix alone.
const (
	EnvLive = "live"
	EnvTest = "test"
)

// New is what a caller says about the key that it wants.
type New struct {
	Org        app.OrgID       // empty: the operator's own key
	Name       string          // 1–200 characters
	Env        string          // EnvLive (the default) or EnvTest; the operator's are live
	Scopes     []string        // none: a key that opens only what asks for no scope
	CIDRs      []netip.Prefix  // none: from any address
	ExpiresAt  time.Time       // zero: never
	RateLimits []app.RateLimit // beside those of the plan and the route
}

// key checks the input and answers the key without id and secret, and the
// prefix of its secret.
func (n New) key(now time.Time) (k app.Key, prefix string, wrong []app.FieldError) {
	if bad := app.CheckName("name", n.Name); bad != nil {
		wrong = append(wrong, *bad)
	}
	prefix, bad := n.prefix()
	scopes, badScopes := checkScopes(n.Scopes, n.Org == "")
	cidrs, badCIDRs := checkCIDRs(n.CIDRs)
	wrong = slices.Concat(wrong, bad, badScopes, badCIDRs, app.CheckRateLimits("rate_limits", n.RateLimits))
	expires := n.ExpiresAt.UTC().Truncate(time.Millisecond)
	if !n.ExpiresAt.IsZero() && !expires.After(now) {
		wrong = append(wrong, app.FieldError{Field: "expires_at", Message: "must be in the future"})
	}
	k = app.Key{OrgID: n.Org, Name: n.Name, Scopes: scopes, CIDRs: cidrs, RateLimits: slices.Clone(n.RateLimits)}
	if !n.ExpiresAt.IsZero() {
		k.ExpiresAt = expires
	}
	return k, prefix, wrong
}

func (n New) prefix() (string, []app.FieldError) {
	switch {
	case n.Org == "" && (n.Env == "" || n.Env == EnvLive):
		return prefixOperator, nil
	case n.Org == "":
		return "", []app.FieldError{{Field: "env", Message: "must be live for the operator's keys"}}
	case n.Env == "" || n.Env == EnvLive:
		return prefixLive, nil
	case n.Env == EnvTest:
		return prefixTest, nil
	}
	return "", []app.FieldError{{Field: "env", Message: "must be live or test"}}
}

// checkScopes answers the scopes sorted and without repeats.
func checkScopes(scopes []string, needed bool) ([]string, []app.FieldError) {
	if len(scopes) > app.MaxScopes {
		return nil, []app.FieldError{{Field: "scopes", Message: fmt.Sprintf("must hold at most %d scopes", app.MaxScopes)}}
	}
	if needed && len(scopes) == 0 {
		return nil, []app.FieldError{{Field: "scopes", Message: "must hold at least one scope, such as orgs:read or *"}}
	}
	var wrong []app.FieldError
	for i, scope := range scopes {
		if !app.ValidScope(scope) {
			wrong = append(wrong, app.FieldError{Field: fmt.Sprintf("scopes[%d]", i), Message: "must look like files:read, files:* or *"})
		}
	}
	out := append([]string{}, scopes...)
	slices.Sort(out)
	return slices.Compact(out), wrong
}

// checkCIDRs answers the ranges in their canonical form: 10.0.0.7/8 is
// 10.0.0.0/8, and an IPv4 range written as IPv6 is IPv4, as AllowsAddress asks.
func checkCIDRs(cidrs []netip.Prefix) ([]netip.Prefix, []app.FieldError) {
	if len(cidrs) > app.MaxCIDRs {
		return nil, []app.FieldError{{Field: "cidrs", Message: fmt.Sprintf("must hold at most %d ranges", app.MaxCIDRs)}}
	}
	out, wrong := []netip.Prefix{}, []app.FieldError(nil)
	for i, cidr := range cidrs {
		if addr := cidr.Addr(); addr.Is4In6() && cidr.Bits() >= 96 {
			cidr = netip.PrefixFrom(addr.Unmap(), cidr.Bits()-96)
		}
		if !cidr.IsValid() || cidr.Addr().Is4In6() {
			wrong = append(wrong, app.FieldError{Field: fmt.Sprintf("cidrs[%d]", i), Message: "must be a range such as 203.0.113.0/24 or 2001:db8::/32"})
			continue
		}
		if cidr = cidr.Masked(); !slices.Contains(out, cidr) {
			out = append(out, cidr)
		}
	}
	return out, wrong
}
