package app

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// OrgStatus says whether an organization's traffic passes.
type OrgStatus string

// The states of an organization.
const (
	OrgStatusActive    OrgStatus = "active"
	OrgStatusSuspended OrgStatus = "suspended" // by the operator or the ladder: 403 org_suspended
	OrgStatusCancelled OrgStatus = "cancelled" // by the customer: 403 org_cancelled
)

// Org is a customer of the operator: the boundary of isolation and of billing.
type Org struct {
	ID        OrgID     `json:"id"`
	Slug      string    `json:"slug"` // unique, 1–63 of a-z 0-9 -, part of addresses
	Name      string    `json:"name"` // shown to people, 1–200 characters
	Status    OrgStatus `json:"status"`
	Reason    string    `json:"reason,omitempty"` // why it is suspended
	Plan      string    `json:"plan"`             // slug of the plan
	Upstream  string    `json:"upstream,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

var slugPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidSlug reports whether the text can be a slug: a DNS label in lower case.
func ValidSlug(slug string) bool { return slugPattern.MatchString(slug) }

// Slugify derives a slug from a name; empty when nothing of it can be kept.
func Slugify(name string) string {
	var out []byte
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			out = append(out, byte(r))
		case len(out) > 0 && out[len(out)-1] != '-':
			out = append(out, '-')
		}
		if len(out) == 63 {
			break
		}
	}
	return strings.Trim(string(out), "-")
}

// MaxNameLength bounds every name that people give, in characters.
const MaxNameLength = 200

// CheckName returns a field error for a name that is empty, too long, not
// UTF-8 or holds control characters.
func CheckName(field, name string) *FieldError {
	switch {
	case strings.TrimSpace(name) == "":
		return &FieldError{field, "must not be empty"}
	case !utf8.ValidString(name):
		return &FieldError{field, "must be UTF-8 text"}
	case utf8.RuneCountInString(name) > MaxNameLength:
		return &FieldError{field, "must have at most 200 characters"}
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return &FieldError{field, "must not hold control characters"}
	}
	return nil
}
