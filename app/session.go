package app

import (
	"encoding/hex"
	"time"
)

// Bounds of a session (issue: "sessions 7 days"; idle so that a forgotten
// browser closes by itself).
const (
	SessionLife   = 7 * 24 * time.Hour // absolute, from sign-in
	SessionIdle   = 24 * time.Hour     // without a request
	SessionReauth = 10 * time.Minute   // how long a given password covers sensitive changes
)

// ID names the session in lists, forms and changes: its hash in hex. It is
// safe to show, because the cookie's value cannot be computed from it.
func (s Session) ID() string { return hex.EncodeToString(s.Hash[:]) }

// EndsAt is when the session ends unless it is used again before.
func (s Session) EndsAt() time.Time {
	if idle := s.LastSeenAt.Add(SessionIdle); idle.Before(s.ExpiresAt) {
		return idle
	}
	return s.ExpiresAt
}

// Live reports whether the session holds at the time.
func (s Session) Live(now time.Time) bool { return now.Before(s.EndsAt()) }

// Reauthed reports whether the password was given recently enough for a
// sensitive change.
func (s Session) Reauthed(now time.Time) bool { return now.Before(s.ReauthedAt.Add(SessionReauth)) }

// Actor is who a request with this session is. An operator's session may
// everything; a user's carries the scopes that the app gave it.
func (s Session) Actor() Actor {
	scopes := s.Scopes
	if s.Kind == ActorOperator {
		scopes = []string{"*"}
	}
	return Actor{Kind: s.Kind, ID: s.ActorID, OrgID: s.OrgID, Scopes: scopes}
}
