package keys_test

import (
	"net/netip"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
)

func TestRefusal(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	inside := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	rows := []struct {
		name, from, code string
		key              app.Key
	}{
		{"a plain key", "192.0.2.1", "", app.Key{}},
		{"before its end", "192.0.2.1", "", app.Key{ExpiresAt: now.Add(1)}},
		{"at its end", "192.0.2.1", "key_expired", app.Key{ExpiresAt: now}},
		{"revoked", "192.0.2.1", "key_revoked", app.Key{RevokedAt: now}},
		{"revoked for later: it counts at once", "192.0.2.1", "key_revoked", app.Key{RevokedAt: now.Add(time.Hour)}},
		{"in its grace", "192.0.2.1", "", app.Key{RotatedTo: "key_2", ExpiresAt: now.Add(1)}},
		{"after its grace", "192.0.2.1", "key_rotated", app.Key{RotatedTo: "key_2", ExpiresAt: now}},
		{"from inside", "10.255.0.1", "", app.Key{CIDRs: inside}},
		{"from inside, IPv4 as IPv6", "::ffff:10.255.0.1", "", app.Key{CIDRs: inside}},
		{"from inside, IPv6", "2001:db8::7", "", app.Key{CIDRs: inside}},
		{"from outside", "11.0.0.1", "key_address", app.Key{CIDRs: inside}},
		{"from an unknown address", "", "key_address", app.Key{CIDRs: inside}},
	}
	for _, row := range rows {
		var from netip.Addr
		if row.from != "" {
			from = netip.MustParseAddr(row.from)
		}
		refusal, got := keys.Refusal(&row.key, from, now), ""
		if refusal != nil {
			got = refusal.Code
		}
		if got != row.code {
			t.Errorf("%s: %q, want %q", row.name, got, row.code)
		}
	}
	k := app.Key{CIDRs: inside, ExpiresAt: now.Add(time.Hour)}
	from := netip.MustParseAddr("10.0.0.1")
	if n := testing.AllocsPerRun(100, func() { keys.Refusal(&k, from, now) }); n != 0 {
		t.Errorf("%v allocations for a good key", n)
	}
}

func BenchmarkRefusal(b *testing.B) {
	k := app.Key{ExpiresAt: time.Now().Add(time.Hour), CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	from, now := netip.MustParseAddr("10.0.0.1"), time.Now()
	for b.Loop() {
		if keys.Refusal(&k, from, now) != nil {
			b.Fatal("refused")
		}
	}
}
