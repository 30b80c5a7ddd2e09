package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/app"
)

// Prefixes of secrets, so that people and scanners for leaks know one when
// they see it. 32 random bytes in base64url follow.
const (
	consolePrefix = "gc_" // an operator's session
	userPrefix    = "gs_" // a user's session at the gateway
	linkPrefix    = "gl_" // a one-time link
)

const secretBytes = 32

// newSecret returns a prefix and 256 random bits.
func newSecret(prefix string) string {
	var raw [secretBytes]byte
	rand.Read(raw[:]) // never fails: crypto/rand aborts the program instead
	return prefix + base64.RawURLEncoding.EncodeToString(raw[:])
}

// parseSecret checks the form and answers the hash under which it is stored.
func parseSecret(prefix, secret string) (hash [32]byte, ok bool) {
	rest, ok := strings.CutPrefix(secret, prefix)
	if !ok || len(rest) != base64.RawURLEncoding.EncodedLen(secretBytes) {
		return hash, false
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(rest); err != nil || strings.ContainsAny(rest, "\r\n") {
		return hash, false
	}
	return sha256.Sum256([]byte(secret)), true
}

// deviceLife is how long a browser counts as one that has signed in.
const deviceLife = 180 * 24 * time.Hour

const devicePurpose = "device"

// newDevice marks a browser as one that has signed in as the operator. A
// browser that was one keeps its id, and so its count.
func (s *Service) newDevice(operator app.OperatorID, id string) string {
	if id == "" {
		id = rand.Text()
	}
	text := fmt.Sprintf("%s %s %d", operator, id, s.now().Unix())
	return base64.RawURLEncoding.EncodeToString(s.o.Sealer.Seal(devicePurpose, []byte(text)))
}

// deviceOf answers the id of a browser that has signed in as this very
// operator, or nothing.
func (s *Service) deviceOf(token string, operator app.OperatorID) string {
	if token == "" || operator == "" || len(token) > 512 {
		return ""
	}
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return ""
	}
	text, err := s.o.Sealer.Open(devicePurpose, sealed)
	if err != nil {
		return ""
	}
	parts := strings.Fields(string(text))
	if len(parts) != 3 || parts[0] != string(operator) {
		return ""
	}
	since, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || s.now().Sub(time.Unix(since, 0)) > deviceLife {
		return ""
	}
	return parts[1]
}
