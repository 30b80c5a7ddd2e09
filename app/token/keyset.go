package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"

	"gatehouse/app"
)

// Bounds on what an issuer's key set may cost.
const (
	maxKeySetBytes = 1 << 20          // of the document
	maxKeys        = 100              // in it
	minRSABits     = 2048             // NIST SP 800-131A
	maxRSABits     = 8192             // beyond, a verification takes milliseconds
	fetchTimeout   = 10 * time.Second // for the whole fetch
	refreshEvery   = 15 * time.Minute // so that a key that the issuer withdraws ends here too
	refetchPause   = 30 * time.Second // between fetches that tokens with unknown keys cause
	maxWaiting     = 64               // requests that wait for one fetch; more are refused at once
	staleAfter     = 24 * time.Hour   // keys that could not be refreshed for so long are dropped
)

// keySet is the keys of one issuer, fetched when needed and refreshed.
type keySet struct {
	fetch func(ctx context.Context) ([]byte, error)
	now   func() time.Time
	// onChange runs when a key went away or became another.
	onChange func()

	keys atomic.Pointer[issuerKeys]

	mu      sync.Mutex
	running chan struct{} // closed when the fetch under way ends; nil: none
	waiting int
	tried   time.Time
	failure error // of the last fetch
}

// issuerKeys is one version of the set.
type issuerKeys struct {
	list []issuerKey
	at   time.Time
}

type issuerKey struct {
	id        string
	algorithm string // empty: any that fits the type
	public    crypto.PublicKey
}

// find answers the key for the kid and algorithm. An unknown kid makes the set
// be fetched again, at most every refetchPause and by one caller, so strangers
// who invent kids can neither flood the issuer nor pile up requests here.
func (k *keySet) find(ctx context.Context, kid, algorithm string) (crypto.PublicKey, error) {
	if key, ok := k.held().find(kid, algorithm); ok {
		return key, nil
	}
	if err := k.refetch(ctx); err != nil {
		return nil, err
	}
	held := k.held()
	if held == nil {
		return nil, k.unavailable()
	}
	if key, ok := held.find(kid, algorithm); ok {
		return key, nil
	}
	return nil, unknownKey()
}

// held is the set at hand, nil when there is none or it is too old.
func (k *keySet) held() *issuerKeys {
	held := k.keys.Load()
	if held == nil || k.now().Sub(held.at) > staleAfter {
		return nil
	}
	return held
}

// find looks for the kid, or takes the only fitting key when the token names none.
func (s *issuerKeys) find(kid, algorithm string) (crypto.PublicKey, bool) {
	if s == nil {
		return nil, false
	}
	var fitting []crypto.PublicKey
	for _, key := range s.list {
		if (kid == "" || key.id == kid) && key.fits(algorithm) {
			fitting = append(fitting, key.public)
		}
	}
	if len(fitting) != 1 {
		return nil, false
	}
	return fitting[0], true
}

func (k issuerKey) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch key := k.public.(type) {
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	case *ecdsa.PublicKey: // RFC 7518, 3.4: each algorithm has its curve
		return map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[algorithm] == key.Curve.Params().BitSize
	case *rsa.PublicKey:
		return algorithm[:2] == "RS" || algorithm[:2] == "PS"
	}
	return false
}

// refetch waits for a fetch, begun here or by another caller, unless one ended
// just now.
func (k *keySet) refetch(ctx context.Context) error {
	k.mu.Lock()
	if k.running == nil && k.now().Sub(k.tried) < refetchPause {
		k.mu.Unlock()
		return nil
	}
	if k.waiting >= maxWaiting {
		k.mu.Unlock()
		return k.unavailable()
	}
	done := k.begin(ctx)
	k.waiting++
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.waiting--
		k.mu.Unlock()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return k.unavailable()
	}
}

// begin starts a fetch if none is under way; the lock is held. The fetch
// outlives the request that caused it, because others wait for it too.
func (k *keySet) begin(ctx context.Context) <-chan struct{} {
	if k.running != nil {
		return k.running
	}
	done := make(chan struct{})
	k.running = done
	k.tried = k.now()
	go func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		err := k.refresh(bounded)
		k.mu.Lock()
		k.running, k.failure = nil, err
		k.mu.Unlock()
		close(done)
	}()
	return done
}

// refresh fetches the set and puts it to use.
func (k *keySet) refresh(ctx context.Context) error {
	raw, err := k.fetch(ctx)
	if err != nil {
		return err
	}
	list, err := parseKeySet(raw)
	if err != nil {
		return err
	}
	before := k.keys.Swap(&issuerKeys{list: list, at: k.now()})
	if before != nil && k.onChange != nil && lost(before.list, list) {
		k.onChange()
	}
	return nil
}

// lost reports whether a key of the former list is missing or another now.
func lost(former, list []issuerKey) bool {
	for _, old := range former {
		kept := false
		for _, key := range list {
			kept = kept || (key.id == old.id && key.algorithm == old.algorithm && samePublic(key.public, old.public))
		}
		if !kept {
			return true
		}
	}
	return false
}

// unavailable says that the issuer's keys could not be had.
func (k *keySet) unavailable() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	cause := k.failure
	if cause == nil {
		cause = errors.New("the keys have not been fetched yet")
	}
	return &app.Error{Kind: app.KindUnavailable, Code: "issuer_unavailable", Message: "The keys of the token's issuer cannot be fetched now.",
		Advice: "Try again in a moment.", RetryAfter: refetchPause, Err: cause}
}

// parseKeySet reads the signature keys of a JWK set. Keys that are private,
// weak, for encryption or of an unknown kind are left out, not an error: sets
// in the wild hold them.
func parseKeySet(raw []byte) ([]issuerKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("the key set is not JSON: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set holds %d keys, more than %d", len(set.Keys), maxKeys)
	}
	var list []issuerKey
	for _, entry := range set.Keys {
		if key, ok := parseKey(entry); ok {
			list = append(list, key)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the key set holds no key for signatures")
	}
	return list, nil
}

func parseKey(raw json.RawMessage) (issuerKey, bool) {
	var given jwkset.JWKMarshal
	if json.Unmarshal(raw, &given) != nil || (given.USE != "" && given.USE != jwkset.UseSig) || given.D != "" || given.K != "" {
		return issuerKey{}, false
	}
	// Only the public key's own members go on: x5u would make the library fetch it.
	bare := jwkset.JWKMarshal{KTY: given.KTY, CRV: given.CRV, X: given.X, Y: given.Y, N: given.N, E: given.E}
	parsed, err := jwkset.NewJWKFromMarshal(bare, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return issuerKey{}, false
	}
	switch key := parsed.Key().(type) {
	case ed25519.PublicKey, *ecdsa.PublicKey:
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return issuerKey{}, false
		}
	default:
		return issuerKey{}, false
	}
	return issuerKey{id: given.KID, algorithm: string(given.ALG), public: parsed.Key()}, true
}
