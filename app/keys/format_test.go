package keys

import (
	"crypto/sha256"
	"hash/crc32"
	"strings"
	"testing"
)

func TestParseTakesOnlyWholeSecretsWithTheirChecksum(t *testing.T) {
	good := newSecret(prefixLive)
	swapped := []byte(good)
	swapped[10], swapped[11] = swapped[11], swapped[10]
	if swapped[10] == swapped[11] {
		swapped[10] = otherDigit(swapped[10])
	}
	cases := []struct {
		name, secret string
		ok           bool
	}{
		{"live", good, true},
		{"test", newSecret(prefixTest), true},
		{"operator's", newSecret(prefixOperator), true},
		{"empty", "", false},
		{"prefix alone", prefixLive, false},
		{"another product's prefix", withChecksum("sk_live_" + good[8:38]), false},
		{"operator's test prefix", withChecksum("ga_test_" + good[8:38]), false},
		{"upper-case prefix", withChecksum("GK_LIVE_" + good[8:38]), false},
		{"one short", good[:SecretLength-1], false},
		{"one long", good + "0", false},
		{"two neighbours swapped", string(swapped), false},
		{"first random character changed", good[:8] + string(otherDigit(good[8])) + good[9:], false},
		{"last checksum character changed", good[:43] + string(otherDigit(good[43])), false},
		{"environment changed", prefixTest + good[8:], false},
		{"a character outside base 62", withChecksum(good[:20] + "-" + good[21:38]), false},
		{"a NUL", withChecksum(good[:20] + "\x00" + good[21:38]), false},
		{"two bytes of UTF-8", withChecksum(good[:20] + "é" + good[22:38]), false},
		{"a space around", " " + good[:SecretLength-1], false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			hash, ok := Parse(c.secret)
			if ok != c.ok {
				t.Fatalf("Parse(%q) = %v, want %v", c.secret, ok, c.ok)
			}
			want := [32]byte{}
			if c.ok {
				want = sha256.Sum256([]byte(c.secret))
			}
			if hash != want {
				t.Fatalf("hash %x, want %x", hash, want)
			}
		})
	}
}

// The format is a promise to scanners of leaked secrets: these never change.
func TestParseKeepsTheFormat(t *testing.T) {
	for _, secret := range []string{
		"gk_live_0000000000000000000000000000002RtLg9",
		"gk_test_7Qb2VnK0wYtR5mXcJ8sZp4LhD1uEaG3JkC1l",
		"ga_live_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz0Z5X5L",
	} {
		if secret != withChecksum(secret[:checkedLength]) {
			t.Errorf("the checksum of %s is now %s", secret[:checkedLength], withChecksum(secret[:checkedLength])[checkedLength:])
		}
		if _, ok := Parse(secret); !ok {
			t.Errorf("%s is refused", secret)
		}
	}
}

func TestSecretsUseEveryDigitAndNeverRepeat(t *testing.T) {
	seen, digits := map[string]bool{}, map[rune]int{}
	for range 4000 {
		secret := newSecret(prefixLive)
		if seen[secret] {
			t.Fatal("a secret came twice")
		}
		seen[secret] = true
		for _, c := range secret[prefixLength:checkedLength] {
			digits[c]++
		}
	}
	// 120,000 draws, 1,935 of each digit expected with a deviation of 44: 7 of those.
	for _, c := range base62 {
		if n := digits[c]; n < 1625 || n > 2245 {
			t.Errorf("digit %c came %d times, about 1935 expected", c, n)
		}
	}
}

func TestHintHidesTheMiddle(t *testing.T) {
	secret := "gk_test_7Qb2VnK0wYtR5mXcJ8sZp4LhD1uEaG3JkC1l"
	if got := hint(secret); got != "gk_test_7Qb2…kC1l" {
		t.Fatalf("hint %q", got)
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	good, bad := newSecret(prefixLive), strings.Repeat("x", SecretLength)
	if n := testing.AllocsPerRun(100, func() { Parse(good); Parse(bad) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(newSecret(prefixLive))
	f.Add("gk_live_")
	f.Fuzz(func(t *testing.T, secret string) {
		if _, ok := Parse(secret); ok && secret != withChecksum(secret[:checkedLength]) {
			t.Fatalf("%q was taken with a wrong checksum", secret)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	secret := newSecret(prefixLive)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Parse(secret); !ok {
			b.Fatal("refused")
		}
	}
}

func BenchmarkParseWrongChecksum(b *testing.B) {
	secret := newSecret(prefixLive)
	secret = secret[:43] + string(otherDigit(secret[43]))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Parse(secret); ok {
			b.Fatal("taken")
		}
	}
}

// withChecksum computes the checksum as the documentation tells it, apart from
// the code under test.
func withChecksum(checked string) string {
	sum, out := crc32.ChecksumIEEE([]byte(checked)), ""
	for range 6 {
		out = string(base62[sum%62]) + out
		sum /= 62
	}
	return checked + out
}

func otherDigit(c byte) byte {
	if c == 'x' {
		return 'y'
	}
	return 'x'
}
