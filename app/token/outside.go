package token

import (
	"crypto/sha256"
	"strings"
	"sync"

	"github.com/golang-jwt/jwt/v5"

	"gatehouse/app"
)

// read maps the claims of a verified token.
func (t *trusted) read(claims jwt.MapClaims) (Outside, error) {
	out := Outside{Issuer: t.Name, Org: string(t.Org), User: text(claim(claims, t.UserClaim))}
	if !userPattern.MatchString(out.User) {
		return Outside{}, unauthenticated("token_user", "The token does not name its user with at most 200 visible ASCII characters.",
			"Let the issuer put the user's id into the claim "+t.UserClaim+".", nil)
	}
	if out.Org == "" {
		out.Org = text(claim(claims, t.OrgClaim))
	}
	if out.Org == "" {
		return Outside{}, &app.Error{Kind: app.KindForbidden, Code: "token_without_org", Message: "The token names no organization.",
			Advice: "Let the issuer put the organization's id or slug into the claim " + t.OrgClaim + "."}
	}
	out.Scopes = scopesOf(claim(claims, t.ScopeClaim))
	expires, err := claims.GetExpirationTime()
	if err != nil {
		return Outside{}, err
	}
	out.ExpiresAt = expires.UTC()
	return out, nil
}

// claim finds a claim by its name, or by a path of names joined with dots.
func claim(claims map[string]any, name string) any {
	if value, ok := claims[name]; ok {
		return value
	}
	first, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	inner, _ := claims[first].(map[string]any)
	return claim(inner, rest)
}

// scopesOf reads words, or a list of them. Wildcards are left out: an issuer
// cannot know what they would open here.
func scopesOf(value any) []string {
	var words []string
	switch given := value.(type) {
	case string:
		words = strings.Fields(given)
	case []any:
		for _, word := range given {
			words = append(words, text(word))
		}
	}
	var scopes []string
	for _, word := range words {
		if app.ValidScope(word) && !strings.Contains(word, "*") && len(scopes) < app.MaxScopes {
			scopes = append(scopes, word)
		}
	}
	return scopes
}

// verifiedCacheSize is how many verified tokens are known again: two halves of
// it, each about 2 MiB when full.
const verifiedCacheSize = 8192

// verifiedCache knows verified tokens again by their hash. It has two halves:
// a full young one becomes the old, and what is used again moves to the young.
type verifiedCache struct {
	mu         sync.RWMutex
	young, old map[[32]byte]Outside
	cleared    int // how often
}

func newVerifiedCache() *verifiedCache {
	return &verifiedCache{young: map[[32]byte]Outside{}, old: map[[32]byte]Outside{}}
}

func cacheKey(token string) [32]byte { return sha256.Sum256([]byte(token)) }

func (c *verifiedCache) get(id [32]byte) (Outside, bool) {
	c.mu.RLock()
	known, ok := c.young[id]
	older, inOld := c.old[id]
	generation := c.cleared
	c.mu.RUnlock()
	if !ok && inOld {
		c.put(id, older, generation)
		return older, true
	}
	return known, ok
}

// generation tells a put whether the cache was cleared since.
func (c *verifiedCache) generation() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.cleared
}

// put keeps a token that was verified in the generation: with keys that may
// have been withdrawn since, it must not come back.
func (c *verifiedCache) put(id [32]byte, outside Outside, generation int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.cleared {
		return
	}
	if len(c.young) >= verifiedCacheSize/2 {
		c.young, c.old = map[[32]byte]Outside{}, c.young
	}
	c.young[id] = outside
}

func (c *verifiedCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old = map[[32]byte]Outside{}, map[[32]byte]Outside{}
	c.cleared++
}
