package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
)

// maxCredentials bounds the keyring: about 1 KB each. Past it, a random eighth
// is forgotten and read again when used.
const maxCredentials = 200_000

// credential is everything that the gate knows of one secret: resolved once,
// then found by the secret's SHA-256 without a query.
type credential struct {
	mode    app.AuthMode // how it was presented: key, jwt or session
	key     app.Key      // of a key
	actor   app.Actor
	actorID string // actor.String(), prepared
	tenant  *tenant
	expires time.Time  // of a JWT or session; zero: never
	mark    *keys.Mark // of a key: when it was last used

	latest     atomic.Pointer[admission] // of the route used last
	admissions sync.Map                  // *route → *admission
}

// keyring finds credentials by the hash of their secret.
type keyring struct {
	shards [64]shard
	epoch  atomic.Int64 // moves on every change, before entries are dropped
}

type shard struct {
	mu     sync.RWMutex
	byHash map[[32]byte]*credential
}

func newKeyring() *keyring {
	k := &keyring{}
	for i := range k.shards {
		k.shards[i].byHash = map[[32]byte]*credential{}
	}
	return k
}

func (k *keyring) get(hash *[32]byte) *credential {
	s := &k.shards[hash[0]&63]
	s.mu.RLock()
	c := s.byHash[*hash]
	s.mu.RUnlock()
	return c
}

// put keeps the credential, unless configuration changed since epoch: then
// what was read may be old, and the next request reads again.
func (k *keyring) put(hash *[32]byte, c *credential, epoch int64) {
	s := &k.shards[hash[0]&63]
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.epoch.Load() != epoch {
		return
	}
	if len(s.byHash) >= maxCredentials/len(k.shards) {
		drop := len(s.byHash) / 8
		for old := range s.byHash {
			if drop--; drop < 0 {
				break
			}
			delete(s.byHash, old)
		}
	}
	s.byHash[*hash] = c
}

// forget drops every credential that matches.
func (k *keyring) forget(match func(hash *[32]byte, c *credential) bool) {
	k.epoch.Add(1)
	for i := range k.shards {
		s := &k.shards[i]
		s.mu.Lock()
		for hash, c := range s.byHash {
			if match(&hash, c) {
				delete(s.byHash, hash)
			}
		}
		s.mu.Unlock()
	}
}
