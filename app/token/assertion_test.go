package token

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/store/storetest/each"
)

func service(t testing.TB, algorithm string) (*Service, *clock) {
	t.Helper()
	c := newClock()
	o := options(t, each.SQLite(t), c)
	o.Algorithm = algorithm
	return open(t, o), c
}

func payloadOf(t testing.TB, token string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var payload map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &payload)
	}
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestAssertionSaysWhoCalls(t *testing.T) {
	for _, algorithm := range []string{EdDSA, ES256, RS256} {
		t.Run(algorithm, func(t *testing.T) {
			s, c := service(t, algorithm)
			token := s.NewAssertion(subject()).Header(c.now())[0]
			payload := payloadOf(t, token)
			if id, _ := payload["jti"].(string); len(id) < 20 {
				t.Errorf("jti %q", id)
			}
			delete(payload, "jti")
			want := map[string]any{"iss": "https://gate.example", "aud": "shop", "sub": "key:key_1", "org": "org_1", "slug": "acme",
				"plan": "pro", "key": "key_1", "scopes": []any{"files:read"},
				"iat": float64(c.now().Unix()), "exp": float64(c.now().Unix() + 60)}
			if !reflect.DeepEqual(payload, want) {
				t.Errorf("payload %v\nwant    %v", payload, want)
			}
			header := headerOf(t, token)
			if header["alg"] != algorithm || header["typ"] != "assertion+jwt" || header["kid"] == "" || len(header) != 3 {
				t.Errorf("header %v", header)
			}
			claims, err := s.Verify(token)
			if err != nil || claims.Actor != "key:key_1" || claims.Org != "org_1" {
				t.Errorf("verified: %+v, %v", claims, err)
			}
		})
	}
}

func TestAssertionIsMintedOncePerLifeAndAheadOfItsEnd(t *testing.T) {
	s, c := service(t, EdDSA)
	a := s.NewAssertion(subject())
	first := a.Header(c.now())[0]
	steps := []struct {
		pass time.Duration
		same bool
	}{{44 * time.Second, true}, {time.Second, false}, {44 * time.Second, true}, {time.Hour, false}, {-time.Second, true}, {-time.Minute, false}}
	for n, step := range steps {
		c.pass(step.pass)
		token := a.Header(c.now())[0]
		if (token == first) != step.same {
			t.Fatalf("step %d: same token %v, want %v", n, token == first, step.same)
		}
		if _, err := s.Verify(token); err != nil {
			t.Fatalf("step %d: %v", n, err)
		}
		if end := payloadOf(t, token)["exp"].(float64) - float64(c.now().Unix()); end < 15 {
			t.Fatalf("step %d: %v seconds of life are left", n, end)
		}
		first = token
	}
}

func TestAssertionIsMintedByOneOfMany(t *testing.T) {
	s, c := service(t, EdDSA)
	a := s.NewAssertion(subject())
	for round := range 3 {
		var mu sync.Mutex
		var all sync.WaitGroup
		tokens := map[string]int{}
		for range 50 {
			all.Go(func() {
				token := a.Header(c.now())[0]
				mu.Lock()
				tokens[token]++
				mu.Unlock()
			})
		}
		all.Wait()
		// At the refresh, those who do not mint go on with the former token.
		if most := 1 + min(round, 1); len(tokens) > most {
			t.Fatalf("round %d: %d tokens were minted", round, len(tokens))
		}
		c.pass(50 * time.Second)
	}
}

func TestAssertionAllocatesNothingOnAHit(t *testing.T) {
	s, c := service(t, EdDSA)
	a, now := s.NewAssertion(subject()), c.now()
	a.Header(now)
	if n := testing.AllocsPerRun(100, func() { a.Header(now) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkAssertionHeader(b *testing.B) {
	s, c := service(b, EdDSA)
	a, now := s.NewAssertion(subject()), c.now()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if a.Header(now) == nil {
				b.Fail()
			}
		}
	})
}

func BenchmarkMint(b *testing.B) {
	for _, algorithm := range []string{EdDSA, ES256, RS256} {
		b.Run(algorithm, func(b *testing.B) {
			s, c := service(b, algorithm)
			for b.Loop() {
				if _, err := s.Mint(subject(), c.now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
