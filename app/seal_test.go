package app

import (
	"bytes"
	"errors"
	"testing"
)

func sealerOf(t *testing.T, fill byte, former ...byte) *Sealer {
	t.Helper()
	var older [][]byte
	for _, b := range former {
		older = append(older, bytes.Repeat([]byte{b}, SealKeySize))
	}
	s, err := NewSealer(bytes.Repeat([]byte{fill}, SealKeySize), older...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealOpensOnlyForItsPurposeAndKey(t *testing.T) {
	ours := sealerOf(t, 1)
	sealed := ours.Seal("signing_key:a", []byte("secret"))
	cases := []struct {
		name    string
		sealer  *Sealer
		purpose string
		sealed  []byte
		want    error
	}{
		{"the same", ours, "signing_key:a", sealed, nil},
		{"a copy of the sealer", sealerOf(t, 1), "signing_key:a", sealed, nil},
		{"a newer key with ours as former", sealerOf(t, 2, 1), "signing_key:a", sealed, nil},
		{"another purpose", ours, "signing_key:b", sealed, ErrSealBroken},
		{"another key", sealerOf(t, 2), "signing_key:a", sealed, ErrSealedOtherKey},
		{"one bit flipped", ours, "signing_key:a", flipped(sealed, len(sealed)-1), ErrSealBroken},
		{"the nonce changed", ours, "signing_key:a", flipped(sealed, sealHeaderSize), ErrSealBroken},
		{"another version", ours, "signing_key:a", flipped(sealed, 0), ErrSealBroken},
		{"cut", ours, "signing_key:a", sealed[:10], ErrSealBroken},
		{"empty", ours, "signing_key:a", nil, ErrSealBroken},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.sealer.Open(c.purpose, c.sealed)
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if c.want == nil && string(got) != "secret" {
				t.Fatalf("opened %q", got)
			}
			if c.want != nil && got != nil {
				t.Fatalf("opened %q although it failed", got)
			}
		})
	}
}

func TestSealNeverRepeatsAndHidesTheSecret(t *testing.T) {
	s := sealerOf(t, 1)
	one, two := s.Seal("p", []byte("secret")), s.Seal("p", []byte("secret"))
	if bytes.Equal(one, two) {
		t.Fatal("two seals of one secret are equal")
	}
	if bytes.Contains(one, []byte("secret")) {
		t.Fatal("the secret is readable")
	}
}

func TestSealerRefusesKeysOfWrongLength(t *testing.T) {
	for _, size := range []int{0, 16, 31, 33} {
		if _, err := NewSealer(make([]byte, size)); err == nil {
			t.Errorf("a key of %d bytes was taken", size)
		}
	}
	if _, err := NewSealer(make([]byte, SealKeySize), make([]byte, 5)); err == nil {
		t.Error("a former key of 5 bytes was taken")
	}
}

func TestDeriveDiffersByPurposeAndKey(t *testing.T) {
	a, b, c := sealerOf(t, 1).Derive("x"), sealerOf(t, 1).Derive("y"), sealerOf(t, 2).Derive("x")
	if bytes.Equal(a, b) || bytes.Equal(a, c) || len(a) != SealKeySize {
		t.Fatal("derived keys are not independent")
	}
	if !bytes.Equal(a, sealerOf(t, 1).Derive("x")) {
		t.Fatal("derivation is not stable")
	}
}

func flipped(sealed []byte, at int) []byte {
	out := bytes.Clone(sealed)
	out[at] ^= 1
	return out
}
