package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
)

// A secret reads gk_live_ or gk_test_ (an organization's) or ga_live_ (the
// operator's), then 30 random base-62 characters, then the CRC-32 (IEEE) of
// all that in 6 base-62 characters, most significant first. The checksum lets
// a mistyped or invented key be refused without a look-up, and lets scanners
// for leaked secrets know a real one.
const (
	prefixLive     = "gk_live_"
	prefixTest     = "gk_test_"
	prefixOperator = "ga_live_"

	prefixLength   = 8
	randomLength   = 30
	checksumLength = 6
	checkedLength  = prefixLength + randomLength

	// SecretLength is the length of every secret in bytes.
	SecretLength = checkedLength + checksumLength
)

// SessionPrefix begins the value of a user's session (app/auth makes them), so
// that who is handed a secret without its kind can tell one from a key.
const SessionPrefix = "gs_"

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Parse checks the form and the checksum of a secret and returns the hash
// under which its key is stored. It looks nothing up and allocates nothing.
func Parse(secret string) (hash [32]byte, ok bool) {
	if len(secret) != SecretLength {
		return hash, false
	}
	switch secret[:prefixLength] {
	case prefixLive, prefixTest, prefixOperator:
	default:
		return hash, false
	}
	for i := prefixLength; i < SecretLength; i++ {
		if !isBase62(secret[i]) {
			return hash, false
		}
	}
	if sum := checksum(secret[:checkedLength]); string(sum[:]) != secret[checkedLength:] {
		return hash, false
	}
	var raw [SecretLength]byte
	copy(raw[:], secret)
	return sha256.Sum256(raw[:]), true
}

func isBase62(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// checksum goes byte by byte, because crc32.ChecksumIEEE would move its input
// to the heap.
func checksum(checked string) [checksumLength]byte {
	sum := ^uint32(0)
	for i := range len(checked) {
		sum = crc32.IEEETable[byte(sum)^checked[i]] ^ sum>>8
	}
	sum = ^sum
	var out [checksumLength]byte
	for i := checksumLength - 1; i >= 0; i-- {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return out
}

// newSecret returns a fresh secret with the prefix.
func newSecret(prefix string) string {
	out := append(make([]byte, 0, SecretLength), prefix...)
	var pool [64]byte
	for len(out) < checkedLength {
		rand.Read(pool[:]) // never fails: crypto/rand aborts the program instead
		for _, b := range pool {
			// 248 is the largest multiple of 62 in a byte: above it, b%62 would favour small digits.
			if b < 248 && len(out) < checkedLength {
				out = append(out, base62[b%62])
			}
		}
	}
	sum := checksum(string(out))
	return string(append(out, sum[:]...))
}

// hint is what may be shown of a secret ever after: enough to recognise it,
// with 26 random characters (154 bits) still unknown.
func hint(secret string) string {
	return secret[:prefixLength+4] + "…" + secret[SecretLength-4:]
}
