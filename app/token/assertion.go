package token

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/app"
)

// typeAssertion is the typ header of an assertion. It is a type of its own
// (RFC 8725, 3.11), so that no other token passes for one.
const typeAssertion = "assertion+jwt"

// Subject is whom an assertion speaks of.
type Subject struct {
	Actor app.Actor
	Org   app.Org
}

// Claims are what an assertion says to the app.
type Claims struct {
	Issuer    string    `json:"iss"`
	Audience  string    `json:"aud"`
	Actor     string    `json:"sub"` // "key:key_…", "user:<id in the app>" or "anonymous"
	Org       app.OrgID `json:"org,omitempty"`
	Slug      string    `json:"slug,omitempty"`
	Plan      string    `json:"plan,omitempty"`
	Key       app.KeyID `json:"key,omitempty"`
	Scopes    []string  `json:"scopes,omitempty"`
	IssuedAt  int64     `json:"iat"` // Unix seconds
	ExpiresAt int64     `json:"exp"` // Unix seconds
	ID        string    `json:"jti"` // of this minting; requests within its life share it
}

// Assertion is the token for one subject, minted when needed and kept for its
// life. The gateway holds one in its record of a key or session and throws it
// away with the record, when the key or the organization changes.
type Assertion struct {
	service *Service
	subject Subject
	held    atomic.Pointer[minted]
	minting sync.Mutex
}

// minted is one token of an assertion. Times are Unix nanoseconds.
type minted struct {
	value    []string // as a header holds it
	from     int64    // when it was minted: a clock set back mints anew
	fresh    int64    // from then on a new one is minted ahead of expiry
	expires  int64
	attempts atomic.Bool // somebody mints the next one
}

// clockStep is how far the clock may be set back before tokens count as from
// the future and are minted anew.
const clockStep = int64(5 * time.Second)

// NewAssertion returns the assertion for a subject; nothing is minted yet.
func (s *Service) NewAssertion(subject Subject) *Assertion {
	return &Assertion{service: s, subject: subject}
}

// Header answers the token at the time as the value of a header, to be put in
// the header map as it is and never changed. It has at least a quarter of its
// life left. It allocates only when it mints: at the first call, and then once
// per three quarters of a life, by one caller, while the others go on with the
// former token. nil means that signing failed, which is logged.
func (a *Assertion) Header(now time.Time) []string {
	at, held := now.UnixNano(), a.held.Load()
	if held != nil && at < held.fresh && at > held.from-clockStep {
		return held.value
	}
	if held != nil && at < held.expires && at > held.from-clockStep && !held.attempts.CompareAndSwap(false, true) {
		return held.value
	}
	return a.mint(now, held)
}

func (a *Assertion) mint(now time.Time, seen *minted) []string {
	a.minting.Lock()
	defer a.minting.Unlock()
	if held := a.held.Load(); held != seen {
		return held.value // another caller minted meanwhile
	}
	token, err := a.service.Mint(a.subject, now)
	if err != nil {
		a.service.o.Log.Error("cannot sign an assertion", "err", err)
		return seen.fallback(now)
	}
	life, issued := a.service.o.Life, now.Truncate(time.Second) // as the token says it
	made := &minted{value: []string{token}, from: now.UnixNano(),
		fresh: issued.Add(life - life/4).UnixNano(), expires: issued.Add(life).UnixNano()}
	a.held.Store(made)
	return made.value
}

// fallback is the former token while it holds; the next caller tries to mint again.
func (m *minted) fallback(now time.Time) []string {
	if m == nil || now.UnixNano() >= m.expires {
		return nil
	}
	m.attempts.Store(false)
	return m.value
}

// Mint signs a fresh assertion of the configured life.
func (s *Service) Mint(subject Subject, now time.Time) (string, error) {
	issued := now.Unix()
	payload, err := json.Marshal(Claims{
		Issuer: s.o.Issuer, Audience: s.o.Audience, Actor: subject.Actor.String(),
		Org: subject.Org.ID, Slug: subject.Org.Slug, Plan: subject.Org.Plan,
		Key: subject.Actor.KeyID, Scopes: subject.Actor.Scopes,
		IssuedAt: issued, ExpiresAt: issued + int64(s.o.Life/time.Second), ID: rand.Text(),
	})
	if err != nil {
		return "", err
	}
	with := s.ring.Load().signer
	var text strings.Builder
	text.WriteString(with.header)
	text.WriteString(base64.RawURLEncoding.EncodeToString(payload))
	signature, err := with.method.Sign(text.String(), with.private)
	if err != nil {
		return "", err
	}
	return text.String() + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// GetExpirationTime implements jwt.Claims.
func (c Claims) GetExpirationTime() (*jwt.NumericDate, error) { return seconds(c.ExpiresAt), nil }

// GetIssuedAt implements jwt.Claims.
func (c Claims) GetIssuedAt() (*jwt.NumericDate, error) { return seconds(c.IssuedAt), nil }

// GetNotBefore implements jwt.Claims: an assertion holds from its minting on.
func (c Claims) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuer implements jwt.Claims.
func (c Claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject implements jwt.Claims.
func (c Claims) GetSubject() (string, error) { return c.Actor, nil }

// GetAudience implements jwt.Claims.
func (c Claims) GetAudience() (jwt.ClaimStrings, error) { return jwt.ClaimStrings{c.Audience}, nil }

func seconds(unix int64) *jwt.NumericDate {
	if unix == 0 {
		return nil
	}
	return jwt.NewNumericDate(time.Unix(unix, 0))
}
