package app

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
)

// CredentialPurpose is what the secret of an upstream's credential is sealed
// for: it opens for no other upstream.
func CredentialPurpose(upstream string) string { return "upstream_credential:" + upstream }

// hintLength is how much of a secret may be shown, and hintedLength how long
// one must be for that.
const (
	hintLength   = 4
	hintedLength = 16
)

// SecretHint is the part of a secret that people may see to tell it from
// another; none of a short one.
func SecretHint(secret string) string {
	if len(secret) < hintedLength {
		return ""
	}
	return secret[len(secret)-hintLength:]
}

// String shows where the secret goes, never the secret.
func (c Credential) String() string {
	return c.Header + ": " + c.Prefix + "…" + c.Hint[max(0, len(c.Hint)-hintLength):]
}

// GoString is String: %#v shows no secret either.
func (c Credential) GoString() string { return c.String() }

// LogValue implements slog.LogValuer.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

var (
	_ fmt.Stringer   = Credential{}
	_ fmt.GoStringer = Credential{}
	_ slog.LogValuer = Credential{}
)

// Guarded reports whether the upstream may be reached at public addresses
// alone: it is sent a secret, which nobody shall be able to turn inwards.
func (u Upstream) Guarded() bool { return u.Credential != nil && !u.AllowPrivate }

// checkCredential checks the credential, and where it would be sent.
func (u Upstream) checkCredential() []FieldError {
	c := u.Credential
	if c == nil {
		return nil
	}
	var wrong []FieldError
	if !validHeaderName(c.Header) || strings.ContainsAny(c.Prefix+c.Secret, "\r\n\x00") || len(c.Secret) > MaxSecretLength || len(c.Prefix) > 100 {
		wrong = append(wrong, FieldError{"credential", "must be a header name and a secret of at most 4096 characters without line breaks"})
	}
	if u.AllowPrivate {
		return wrong
	}
	for i, address := range u.Addresses {
		if message := checkGuarded(address); message != "" {
			wrong = append(wrong, FieldError{fmt.Sprintf("addresses[%d]", i), message})
		}
	}
	if u.InsecureSkipVerify {
		wrong = append(wrong, FieldError{"insecure_skip_verify", "would show the credential to anybody on the way; allow_private lets it"})
	}
	return wrong
}

// checkGuarded says what is wrong with an address that a secret is sent to. A
// name is looked at again when it is dialed.
func checkGuarded(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "" // said already
	}
	if u.Scheme != "https" {
		return "must begin with https://, because a credential is sent to it (allow_private lets it be)"
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err == nil && !PublicAddress(ip) || strings.EqualFold(u.Hostname(), "localhost") {
		return "must be public, because a credential is sent to it (allow_private lets it be private)"
	}
	return ""
}
