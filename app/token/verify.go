package token

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/app"
)

// MaxTokenLength bounds the tokens that are looked at, in bytes: what fits in
// the headers of common servers.
const MaxTokenLength = 8 << 10

// leeway is how much the clocks of who signs and who verifies may differ.
const leeway = 5 * time.Second

// Verify checks an assertion of this installation: signature by a published
// key, algorithm of that key, type, issuer, audience and time. What the token
// says about where its key may be found (jku, x5u, jwk, x5c) is never looked at.
func (s *Service) Verify(token string) (Claims, error) {
	if len(token) > MaxTokenLength {
		return Claims{}, malformed(nil)
	}
	var claims Claims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{EdDSA, ES256, RS256}), jwt.WithStrictDecoding(),
		jwt.WithIssuer(s.o.Issuer), jwt.WithAudience(s.o.Audience), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(s.o.Now))
	_, err := parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) {
		if err := checkHeader(t.Header, []string{typeAssertion}); err != nil {
			return nil, err
		}
		known, ok := s.ring.Load().verifiers[text(t.Header["kid"])]
		if !ok {
			return nil, unknownKey()
		}
		if known.algorithm != t.Method.Alg() {
			return nil, fmt.Errorf("the key %v signs with %s alone", t.Header["kid"], known.algorithm)
		}
		return known.public, nil
	})
	if err != nil {
		return Claims{}, refused(err)
	}
	return claims, nil
}

// checkHeader refuses what the verification does not understand: a type that
// was not asked for, and extensions that must be understood (RFC 7515, 4.1.11).
func checkHeader(header map[string]any, types []string) error {
	if _, ok := header["crit"]; ok {
		return errors.New("the token has critical extensions")
	}
	if b64, ok := header["b64"]; ok && b64 != true {
		return errors.New("the token's payload is not encoded")
	}
	typ := strings.TrimPrefix(strings.ToLower(text(header["typ"])), "application/")
	for _, allowed := range types {
		if typ == strings.ToLower(allowed) {
			return nil
		}
	}
	return fmt.Errorf("the token has the type %q", typ)
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

// refused turns the library's reasons into the answer for the caller.
func refused(err error) error {
	var known *app.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, jwt.ErrTokenMalformed):
		return malformed(err)
	case errors.Is(err, jwt.ErrTokenExpired):
		return unauthenticated("token_expired", "The token has expired.", "Get a new token.", err)
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return unauthenticated("token_not_yet_valid", "The token is not valid yet.", "Check the clock of who issued it.", err)
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return unauthenticated("token_audience", "The token is meant for another audience.", "Ask the issuer for a token for this one.", err)
	}
	return unauthenticated("token_invalid", "The token does not hold.", "Get a new token from an issuer that is trusted here.", err)
}

func malformed(err error) error {
	return unauthenticated("token_malformed", "This is not a JSON Web Token.", "Send the whole token, as the issuer gave it.", err)
}

func unknownKey() error {
	return unauthenticated("token_key_unknown", "The token is signed with a key that its issuer does not publish.", "Get a new token.", nil)
}

func unauthenticated(code, message, advice string, err error) *app.Error {
	return &app.Error{Kind: app.KindUnauthenticated, Code: code, Message: message, Advice: advice, Err: err}
}
