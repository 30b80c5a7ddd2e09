package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"gatehouse/app"
)

// cost is what an argon2id hash takes.
type cost struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// currentCost is OWASP's first choice for argon2id (46 MiB, one pass), about
// 50 ms on a small server. A hash of another cost is renewed at sign-in.
var currentCost = cost{memory: 46 << 10, time: 1, threads: 1}

// Bounds on the hashes that are read, so that an imported or altered one
// cannot make a sign-in take seconds or gigabytes.
const (
	maxMemory  = 256 << 10 // KiB
	maxTime    = 10
	maxThreads = 16
	maxWork    = 1 << 20 // KiB × passes

	saltLength = 16
	keyLength  = 32
)

// phc is a hash in the form of the PHC string format:
// $argon2id$v=19$m=47104,t=1,p=1$salt$key.
type phc struct {
	cost
	salt, key []byte
}

func (p phc) String() string {
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads, text(p.salt), text(p.key))
}

var errBadHash = errors.New("not an argon2id hash within the bounds")

// parsePHC reads a hash and refuses one that would cost too much.
func parsePHC(text string) (p phc, err error) {
	var version int
	parts := strings.Split(text, "$")
	if len(text) > 512 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return phc{}, errBadHash
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return phc{}, errBadHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return phc{}, errBadHash
	}
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return phc{}, errBadHash
	}
	if p.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return phc{}, errBadHash
	}
	if !p.affordable() || p.String() != text {
		return phc{}, errBadHash
	}
	return p, nil
}

func (p phc) affordable() bool {
	return p.time >= 1 && p.time <= maxTime && p.threads >= 1 && p.threads <= maxThreads &&
		p.memory >= 8*uint32(p.threads) && p.memory <= maxMemory && uint64(p.memory)*uint64(p.time) <= maxWork &&
		len(p.salt) >= 8 && len(p.salt) <= 64 && len(p.key) >= 16 && len(p.key) <= 64
}

func (p phc) derive(password string) []byte {
	// NFKC, because keyboards of different systems write one letter in
	// different ways (NIST SP 800-63B, 3.1.1.2).
	return argon2.IDKey([]byte(norm.NFKC.String(password)), p.salt, p.time, p.memory, p.threads, uint32(len(p.key)))
}

// hasher computes few hashes at once: each takes tens of megabytes and a whole
// core, which the gate needs too.
type hasher struct {
	cost     cost // of new hashes
	slots    chan struct{}
	waiting  atomic.Int64
	queue    int64         // how many may wait for a slot
	patience time.Duration // and for how long
	dummy    phc           // what an unknown account's password is held against
}

func newHasher(parallel int, cost cost) *hasher {
	h := &hasher{cost: cost, slots: make(chan struct{}, parallel), queue: int64(4 * parallel), patience: 3 * time.Second}
	h.dummy = phc{cost: cost, salt: make([]byte, saltLength), key: make([]byte, keyLength)}
	rand.Read(h.dummy.salt) // never fails: crypto/rand aborts the program instead
	rand.Read(h.dummy.key)
	return h
}

// do runs a computation when there is room, or answers that there is none.
func (h *hasher) do(ctx context.Context, compute func()) error {
	if h.waiting.Add(1) > h.queue+int64(cap(h.slots)) {
		h.waiting.Add(-1)
		return busy()
	}
	defer h.waiting.Add(-1)
	patience := time.NewTimer(h.patience)
	defer patience.Stop()
	select {
	case h.slots <- struct{}{}:
	case <-patience.C:
		return busy()
	case <-ctx.Done():
		return &app.Error{Kind: app.KindCancelled, Code: "cancelled", Message: "The request was cancelled.", Err: ctx.Err()}
	}
	defer func() { <-h.slots }()
	compute()
	return nil
}

func busy() error {
	return &app.Error{Kind: app.KindUnavailable, Code: "sign_in_busy", Message: "Too many people sign in at this moment.",
		Advice: "Try again in a few seconds.", RetryAfter: 3 * time.Second}
}

// hash answers the PHC string of a new password.
func (h *hasher) hash(ctx context.Context, password string) (text string, err error) {
	p := phc{cost: h.cost, salt: make([]byte, saltLength), key: make([]byte, keyLength)}
	rand.Read(p.salt)
	err = h.do(ctx, func() { p.key = p.derive(password) })
	return p.String(), err
}

// verify holds the password against a hash; an empty hash stands for an
// account that does not exist, and costs as much. stale says that the hash
// should be renewed.
func (h *hasher) verify(ctx context.Context, hash, password string) (ok, stale bool, err error) {
	against := h.dummy
	if hash != "" {
		if against, err = parsePHC(hash); err != nil {
			return false, false, err
		}
	}
	err = h.do(ctx, func() { ok = subtle.ConstantTimeCompare(against.derive(password), against.key) == 1 })
	return ok && hash != "", against.cost != h.cost, err
}
