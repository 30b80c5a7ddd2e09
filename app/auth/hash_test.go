package auth

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
)

func TestHashIsAPHCString(t *testing.T) {
	h := newHasher(1, currentCost)
	one, err := h.hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	two, _ := h.hash(t.Context(), password)
	if !strings.HasPrefix(one, "$argon2id$v=19$m=47104,t=1,p=1$") || one == two {
		t.Fatalf("hashes %s and %s", one, two)
	}
	for text, want := range map[string]bool{password: true, password + " ": false, "": false} {
		if ok, stale, err := h.verify(t.Context(), one, text); ok != want || stale || err != nil {
			t.Errorf("%q: %v, stale %v, %v", text, ok, stale, err)
		}
	}
	if ok, _, err := h.verify(t.Context(), "", password); ok || err != nil {
		t.Errorf("no hash: %v, %v", ok, err)
	}
}

// One of the reference implementation's own test vectors (phc-winner-argon2, src/test.c).
func TestHashesOfOthersAreRead(t *testing.T) {
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	h := newHasher(1, currentCost)
	if ok, stale, err := h.verify(t.Context(), reference, "password"); !ok || !stale || err != nil {
		t.Errorf("ok %v, stale %v, %v", ok, stale, err)
	}
	if ok, _, err := h.verify(t.Context(), reference, "Password"); ok || err != nil {
		t.Errorf("another password: %v, %v", ok, err)
	}
}

func TestCostlyAndMalformedHashesAreRefused(t *testing.T) {
	const salt, key = "c29tZXNhbHRzb21lc2FsdA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	rows := map[string]bool{
		"$argon2id$v=19$m=47104,t=1,p=1$" + salt + "$" + key:                        true,
		"$argon2id$v=19$m=262144,t=4,p=16$" + salt + "$" + key:                      true,
		"$argon2id$v=19$m=262145,t=1,p=1$" + salt + "$" + key:                       false, // memory
		"$argon2id$v=19$m=1024,t=11,p=1$" + salt + "$" + key:                        false, // passes
		"$argon2id$v=19$m=262144,t=5,p=1$" + salt + "$" + key:                       false, // both together
		"$argon2id$v=19$m=1024,t=1,p=17$" + salt + "$" + key:                        false, // threads
		"$argon2id$v=19$m=4,t=1,p=1$" + salt + "$" + key:                            false, // less than argon2 takes
		"$argon2id$v=19$m=1024,t=0,p=1$" + salt + "$" + key:                         false,
		"$argon2id$v=19$m=1024,t=1,p=0$" + salt + "$" + key:                         false,
		"$argon2id$v=16$m=1024,t=1,p=1$" + salt + "$" + key:                         false,
		"$argon2i$v=19$m=1024,t=1,p=1$" + salt + "$" + key:                          false,
		"$argon2id$v=19$m=1024,t=1,p=1$c2FsdA$" + key:                               false, // salt of 4 bytes
		"$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$AAAA":                           false, // key of 3 bytes
		"$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$" + strings.Repeat("AAAA", 100): false,
		"$argon2id$v=19$m=1024,t=1,p=1,x=1$" + salt + "$" + key:                     false,
		"$argon2id$v=19$m=+1024,t=1,p=1$" + salt + "$" + key:                        false,
		"$argon2id$v=19$m=99999999999,t=1,p=1$" + salt + "$" + key:                  false,
		"$argon2id$v=19$m=1024,t=1,p=257$" + salt + "$" + key:                       false,
		"$2a$14$" + salt + key:                                                      false,
		"plain":                                                                     false, "": false,
	}
	for text, want := range rows {
		p, err := parsePHC(text)
		if (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
		if err == nil && p.String() != text {
			t.Errorf("%s reads as %s", text, p)
		}
	}
}

// Never more than the slots compute at once; a few wait; the rest is sent away
// at once, and whoever waits too long later.
func TestHashingIsBounded(t *testing.T) {
	h := newHasher(2, cheap)
	h.patience = time.Hour
	var now, most, ran atomic.Int64
	release, entered := make(chan struct{}), make(chan struct{}, 100)
	var all sync.WaitGroup
	results := make(chan string, 30)
	for range cap(results) {
		all.Go(func() {
			err := h.do(t.Context(), func() {
				most.Store(max(most.Load(), now.Add(1)))
				entered <- struct{}{}
				<-release
				now.Add(-1)
				ran.Add(1)
			})
			results <- code(err)
		})
	}
	<-entered
	<-entered
	for range cap(results) - 2 - int(h.queue) {
		if got := <-results; got != "sign_in_busy" {
			t.Errorf("beyond the queue: %s", got)
		}
	}
	close(release)
	all.Wait()
	close(results)
	for got := range results {
		if got != "ok" {
			t.Errorf("in the queue: %s", got)
		}
	}
	if most.Load() > 2 || ran.Load() != 2+h.queue || h.waiting.Load() != 0 {
		t.Errorf("%d at once, %d ran, %d wait", most.Load(), ran.Load(), h.waiting.Load())
	}
}

func TestHashingEndsWithItsRequest(t *testing.T) {
	h := newHasher(1, cheap)
	h.patience = time.Hour
	h.slots <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.hash(ctx, password); !app.IsKind(err, app.KindCancelled) {
		t.Fatal(err)
	}
}

func TestCheckPassword(t *testing.T) {
	good := []string{"four green kettles sing", "Tr0ub4dor&3x", "нет пароля лучше", "パスワードではない文字列です", "correct horse battery stable", "mara likes green kettles", "äöüßéèêëçñ"}
	for _, text := range good {
		if wrong := CheckPassword(text, "mara@example.com", "Mara Okafor"); wrong != nil {
			t.Errorf("%q: %s", text, wrong.Message)
		}
	}
	bad := []string{"", "ninechars", "         ", "password123!", "P@ssw0rd2026", "Passwort2026!", "gatehouse2026", "Administrator1", "letmein12345", "qwertyuiop", "1234567890",
		"0987654321", "abcdefghijkl", "lkjihgfedcba", "aaaaaaaaaaaa", "abababababab", "xyzxyzxyzxyz", "welcome2026!!", "Summer2026!!!", "changeme1234", "1qaz2wsx3edc",
		"mara@example.com"[:4] + "-1234", "mara123456", "correct horse battery staple", "iloveyou2026", "adminadmin", strings.Repeat("x y ", 257), "ok\xff0123456789", "ﬃﬃﬃ"}
	for _, text := range bad {
		if CheckPassword(text, "mara@example.com", "Mara Okafor") == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestShortTextIsFitToShow(t *testing.T) {
	long := strings.Repeat("ü", 200)
	for text, want := range map[string]string{"Firefox": "Firefox", "a\r\nb\x00c\x7f": "abc", "x\xffy": "xy", long: strings.Repeat("ü", 150), "a" + long: "a" + strings.Repeat("ü", 149)} {
		if got := shortText(text); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestCheckEmail(t *testing.T) {
	for _, good := range []string{"mara@example.com", "a@b", "mara+gate@example.co.uk", "ü@beispiel.example", "o'neil@example.com"} {
		if checkEmail(normalEmail(good)) != nil {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"", "mara", "@b", "a@", "a@b@c", "a b@c", "a\n@c", "<a@b>", "a@b,c@d", strings.Repeat("a", 250) + "@b.cd", "a\xff@b"} {
		if checkEmail(normalEmail(bad)) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	h := newHasher(1, currentCost)
	hash, err := h.hash(b.Context(), password)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if ok, _, err := h.verify(b.Context(), hash, password); !ok || err != nil {
			b.Fatal(err)
		}
	}
}
