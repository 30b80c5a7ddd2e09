package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/app"
)

// ring is the signing keys, ready for use. It is replaced as a whole.
type ring struct {
	signer    signer
	verifiers map[string]verifier // by kid
	document  JWKS
}

// signer signs with the current key.
type signer struct {
	method  jwt.SigningMethod
	private crypto.Signer
	header  string // base64url of the JOSE header, and a dot
}

type verifier struct {
	algorithm string
	public    crypto.PublicKey
}

// JWKS is the document at /.well-known/jwks.json.
type JWKS struct {
	Body []byte // JSON
	ETag string // quoted, changes with the body
	// MaxAge is how long a verifier may keep the document: a quarter of the
	// time for which a key is published before it signs, at most an hour.
	MaxAge time.Duration
}

// load makes a ring of the keys and puts it to use. A ring equal to the one in
// use is not made anew.
func (s *Service) load(keys []app.SigningKey) error {
	made, err := s.newRing(keys)
	if err != nil {
		return err
	}
	s.ring.Store(made)
	return nil
}

func (s *Service) newRing(keys []app.SigningKey) (*ring, error) {
	made := &ring{verifiers: map[string]verifier{}}
	published := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range keys {
		public, err := x509.ParsePKIXPublicKey(k.Public)
		if err != nil {
			return nil, fmt.Errorf("read the signing key %s: %w", k.ID, err)
		}
		entry, err := newJWK(public)
		if err != nil {
			return nil, fmt.Errorf("read the signing key %s: %w", k.ID, err)
		}
		entry.ID, entry.Use, entry.Alg = k.ID, "sig", k.Algorithm
		published.Keys = append(published.Keys, entry)
		made.verifiers[k.ID] = verifier{algorithm: k.Algorithm, public: public}
		if k.State == app.SigningStateCurrent {
			if made.signer, err = s.newSigner(k, public); err != nil {
				return nil, err
			}
		}
	}
	if made.signer.method == nil {
		return nil, fmt.Errorf("no signing key is current")
	}
	body, err := json.Marshal(published)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	made.document = JWKS{Body: body, ETag: `"` + hex.EncodeToString(sum[:12]) + `"`, MaxAge: min(time.Hour, s.o.PublishFor/4)}
	return made, nil
}

func (s *Service) newSigner(k app.SigningKey, public crypto.PublicKey) (signer, error) {
	method, ok := signingMethod(k.Algorithm)
	if !ok {
		return signer{}, fmt.Errorf("the signing key %s has the unknown algorithm %q", k.ID, k.Algorithm)
	}
	private, err := s.open(k)
	if err != nil {
		return signer{}, err
	}
	if !samePublic(private.Public(), public) {
		return signer{}, fmt.Errorf("the signing key %s has halves that do not fit", k.ID)
	}
	header, err := json.Marshal(map[string]string{"alg": k.Algorithm, "kid": k.ID, "typ": typeAssertion})
	if err != nil {
		return signer{}, err
	}
	return signer{method: method, private: private, header: base64.RawURLEncoding.EncodeToString(header) + "."}, nil
}

func samePublic(a, b crypto.PublicKey) bool {
	switch key := a.(type) {
	case ed25519.PublicKey:
		other, ok := b.(ed25519.PublicKey)
		return ok && bytes.Equal(key, other)
	case *ecdsa.PublicKey:
		return key.Equal(b)
	case *rsa.PublicKey:
		return key.Equal(b)
	}
	return false
}

// JWKS answers the public keys as the document that verifiers fetch.
func (s *Service) JWKS() JWKS { return s.ring.Load().document }
