package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithms that Gatehouse signs with. EdDSA is the default: the smallest and
// by far the fastest to sign; the others are for apps whose library lacks it.
const (
	EdDSA = "EdDSA"
	ES256 = "ES256"
	RS256 = "RS256"
)

// rsaBits is the size of RSA keys that Gatehouse makes: they live for weeks,
// and NIST SP 800-57 holds 2048 bits good until 2030.
const rsaBits = 2048

func signingMethod(algorithm string) (jwt.SigningMethod, bool) {
	switch algorithm {
	case EdDSA:
		return jwt.SigningMethodEdDSA, true
	case ES256:
		return jwt.SigningMethodES256, true
	case RS256:
		return jwt.SigningMethodRS256, true
	}
	return nil, false
}

// generate makes a private key for the algorithm.
func generate(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, fmt.Errorf("unknown signing algorithm %q", algorithm)
}

// jwk is a public key as RFC 7517 writes it. The members of the key itself
// come in the order of their names, which the thumbprint asks for.
type jwk struct {
	Curve string `json:"crv,omitempty"`
	E     string `json:"e,omitempty"`
	Type  string `json:"kty"`
	N     string `json:"n,omitempty"`
	X     string `json:"x,omitempty"`
	Y     string `json:"y,omitempty"`
	ID    string `json:"kid,omitempty"`
	Use   string `json:"use,omitempty"`
	Alg   string `json:"alg,omitempty"`
}

// newJWK writes the key's own members.
func newJWK(public crypto.PublicKey) (jwk, error) {
	text := base64.RawURLEncoding.EncodeToString
	switch key := public.(type) {
	case ed25519.PublicKey:
		return jwk{Type: "OKP", Curve: "Ed25519", X: text(key)}, nil
	case *rsa.PublicKey:
		return jwk{Type: "RSA", N: text(key.N.Bytes()), E: text(big.NewInt(int64(key.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, then x and y at full length
		if err != nil || key.Curve != elliptic.P256() {
			return jwk{}, fmt.Errorf("not a key on P-256")
		}
		return jwk{Type: "EC", Curve: "P-256", X: text(point[1:33]), Y: text(point[33:])}, nil
	}
	return jwk{}, fmt.Errorf("no JWK for a key of type %T", public)
}

// thumbprint is RFC 7638's: the SHA-256 of the key's own members.
func (k jwk) thumbprint() (string, error) {
	k.ID, k.Use, k.Alg = "", "", ""
	raw, err := json.Marshal(k)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}
