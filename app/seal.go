package app

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// SealKeySize is the length of an encryption key in bytes (AES-256).
const SealKeySize = 32

const (
	sealVersion    = 1 // first byte of everything sealed; a new scheme takes the next number
	sealIDSize     = 4 // bytes that tell which key sealed, so that a wrong key is named, not guessed
	sealHeaderSize = 1 + sealIDSize
)

// ErrSealedOtherKey says that no key of the installation opens the secret:
// the encryption key was lost or replaced.
var ErrSealedOtherKey = errors.New("the secret was sealed with an encryption key that this installation does not hold")

// ErrSealBroken says that the secret was altered, cut, or sealed for another purpose.
var ErrSealBroken = errors.New("the sealed secret is damaged or was sealed for another purpose")

// Sealer encrypts small secrets at rest (signing keys) and in cookies with the
// installation's encryption key: AES-256-GCM under a key derived for that use
// alone, with a random nonce, so one Sealer may seal up to 2³² values.
type Sealer struct {
	sealing sealKey
	opening []sealKey // sealing first, then the former ones
}

type sealKey struct {
	id   [sealIDSize]byte
	aead cipher.AEAD
	root []byte
}

// NewSealer takes the installation's encryption key, and former ones which may
// still open what they sealed. Each is SealKeySize random bytes.
func NewSealer(key []byte, former ...[]byte) (*Sealer, error) {
	s := &Sealer{}
	for _, raw := range append([][]byte{key}, former...) {
		prepared, err := newSealKey(raw)
		if err != nil {
			return nil, err
		}
		s.opening = append(s.opening, prepared)
	}
	s.sealing = s.opening[0]
	return s, nil
}

func newSealKey(raw []byte) (sealKey, error) {
	if len(raw) != SealKeySize {
		return sealKey{}, fmt.Errorf("an encryption key has %d bytes, not %d", SealKeySize, len(raw))
	}
	derived, err := hkdf.Key(sha256.New, raw, nil, "gatehouse seal v1", SealKeySize+sealIDSize)
	if err != nil {
		return sealKey{}, fmt.Errorf("derive the sealing key: %w", err)
	}
	block, err := aes.NewCipher(derived[:SealKeySize])
	if err != nil {
		return sealKey{}, fmt.Errorf("prepare the sealing key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return sealKey{}, fmt.Errorf("prepare the sealing key: %w", err)
	}
	k := sealKey{aead: aead, root: append([]byte(nil), raw...)}
	copy(k.id[:], derived[SealKeySize:])
	return k, nil
}

// Seal encrypts the secret for one purpose ("signing_key:<kid>"): it opens
// again only for the same purpose, so a row cannot be swapped for another.
func (s *Sealer) Seal(purpose string, secret []byte) []byte {
	out := make([]byte, sealHeaderSize, sealHeaderSize+len(secret)+s.sealing.aead.Overhead())
	out[0] = sealVersion
	copy(out[1:], s.sealing.id[:])
	return s.sealing.aead.Seal(out, nil, secret, sealContext(out, purpose))
}

// Open decrypts what Seal returned for the same purpose. Errors are
// ErrSealedOtherKey and ErrSealBroken.
func (s *Sealer) Open(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < sealHeaderSize || sealed[0] != sealVersion {
		return nil, ErrSealBroken
	}
	header := sealed[:sealHeaderSize]
	for _, key := range s.opening {
		if [sealIDSize]byte(header[1:]) != key.id {
			continue
		}
		secret, err := key.aead.Open(nil, nil, sealed[sealHeaderSize:], sealContext(header, purpose))
		if err != nil {
			return nil, ErrSealBroken
		}
		return secret, nil
	}
	return nil, ErrSealedOtherKey
}

// Derive returns a 32-byte key for another use (a MAC, a cookie), independent
// of the sealing key and of every other purpose.
func (s *Sealer) Derive(purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, s.sealing.root, nil, "gatehouse derive v1: "+purpose, SealKeySize)
	if err != nil {
		panic("gatehouse: HKDF refused 32 bytes: " + err.Error()) // impossible: only longer outputs are refused
	}
	return derived
}

// sealContext binds header and purpose to the ciphertext.
func sealContext(header []byte, purpose string) []byte {
	return append(append(make([]byte, 0, sealHeaderSize+len(purpose)), header[:sealHeaderSize]...), purpose...)
}
