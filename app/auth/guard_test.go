package auth

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// try is one attempt with a wrong password.
func (w *world) try(t *testing.T, email string, c Client) string {
	t.Helper()
	_, err := w.SignIn(t.Context(), Attempt{email, "wrong", c})
	return code(err)
}

func (w *world) expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// One address: five attempts a minute, whatever the account; the sixth blocks
// it for five minutes, also when the minute is over.
func TestAddressesAreBlocked(t *testing.T) {
	w := sqliteWorld(t)
	w.claimed(t)
	eve := client("192.0.2.66")
	for n := range 5 {
		w.expect(t, "an attempt", w.try(t, fmt.Sprintf("guess%d@example.com", n), eve), "sign_in_failed")
	}
	w.expect(t, "the sixth", w.try(t, "mara@example.com", eve), "sign_in_limited")
	w.pass(time.Minute)
	w.expect(t, "a minute later", w.try(t, "mara@example.com", eve), "sign_in_limited")
	w.pass(4*time.Minute - time.Millisecond)
	if _, err := w.SignIn(t.Context(), Attempt{"mara@example.com", password, eve}); code(err) != "sign_in_limited" {
		t.Errorf("with the right password: %v", err)
	}
	w.pass(time.Millisecond)
	w.expect(t, "after five minutes", w.try(t, "mara@example.com", eve), "sign_in_failed")
	w.expect(t, "another address", w.try(t, "mara@example.com", client("192.0.2.67")), "sign_in_failed")
}

// A household has a /64 of IPv6 addresses, and IPv4 may come written as IPv6.
func TestAddressesOfOneNetworkCountTogether(t *testing.T) {
	rows := map[string]struct {
		many  func(n int) string
		other string
	}{
		"IPv6":         {func(n int) string { return fmt.Sprintf("2001:db8:0:1::%d", n+1) }, "2001:db8:0:2::1"},
		"IPv4 as IPv6": {func(n int) string { return []string{"192.0.2.1", "::ffff:192.0.2.1"}[n%2] }, "::ffff:192.0.2.2"},
		"zones":        {func(n int) string { return fmt.Sprintf("fe80::1%%eth%d", n) }, "fe80:0:0:1::1"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			w := sqliteWorld(t)
			for n := range 5 {
				w.expect(t, "an attempt", w.try(t, "mara@example.com", client(row.many(n))), "sign_in_failed")
			}
			w.expect(t, "the sixth", w.try(t, "mara@example.com", client(row.many(5))), "sign_in_limited")
			w.expect(t, "another network", w.try(t, "mara@example.com", client(row.other)), "sign_in_failed")
		})
	}
}

// A slow guesser from one address gets ten attempts an hour at one account.
func TestSlowGuessersAreStopped(t *testing.T) {
	w := sqliteWorld(t)
	w.claimed(t)
	eve := client("192.0.2.66")
	for range 10 {
		w.pass(time.Minute)
		w.expect(t, "an attempt", w.try(t, "mara@example.com", eve), "sign_in_failed")
	}
	w.pass(time.Minute)
	w.expect(t, "the eleventh", w.try(t, "MARA@example.com ", eve), "sign_in_limited")
	w.expect(t, "another account", w.try(t, "other@example.com", eve), "sign_in_failed")
	w.pass(time.Hour)
	w.expect(t, "an hour later", w.try(t, "mara@example.com", eve), "sign_in_failed")
}

// Many addresses guess at one account. They are stopped together; the owner's
// browser is not, nor the link that the machine makes.
func TestOwnersAreNotLockedOut(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		known := w.claimed(t)
		other, err := w.AddOperator(t.Context(), system, NewOperator{"eve@example.com", "Eve", password})
		if err != nil {
			t.Fatal(err)
		}
		botnet := func(n int) Client {
			return client(netip.AddrFrom4([4]byte{203, 0, byte(n / 250), byte(n % 250)}).String())
		}
		for n := range 100 {
			w.expect(t, "a bot", w.try(t, "mara@example.com", botnet(n)), "sign_in_failed")
		}
		w.expect(t, "the next bot", w.try(t, "mara@example.com", botnet(101)), "sign_in_limited")
		owner := Client{Address: netip.MustParseAddr("198.51.100.200"), UserAgent: "Firefox"}
		w.expect(t, "the owner in a new browser", w.try(t, "mara@example.com", owner), "sign_in_limited")

		owner.Device = known.Device
		in, err := w.SignIn(t.Context(), Attempt{"mara@example.com", password, owner})
		if err != nil {
			t.Fatalf("the owner in the browser of old: %v", err)
		}
		if w.deviceOf(in.Device, in.Operator.ID) != w.deviceOf(known.Device, in.Operator.ID) {
			t.Error("the browser got another id, and with it a fresh count")
		}
		owner.Address = botnet(101).Address
		if _, err := w.SignIn(t.Context(), Attempt{"mara@example.com", password, owner}); err != nil {
			t.Errorf("the owner behind a blocked address: %v", err)
		}
		link, _, err := w.SignInLink(t.Context(), system, "mara@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.SignInByLink(t.Context(), link, botnet(101)); err != nil {
			t.Errorf("by a link: %v", err)
		}

		bot := botnet(102)
		bot.Device = w.newDevice(other.ID, "")
		w.expect(t, "a bot with the mark of another account", w.try(t, "mara@example.com", bot), "sign_in_limited")
		bot.Device = "invented"
		w.expect(t, "a bot with an invented mark", w.try(t, "mara@example.com", bot), "sign_in_limited")
	})
}

// A stolen browser guesses ten times in a quarter of an hour.
func TestKnownBrowsersAreBoundedToo(t *testing.T) {
	w := sqliteWorld(t)
	known := w.claimed(t)
	thief := client("192.0.2.66")
	thief.Device = known.Device
	for range 10 {
		w.expect(t, "an attempt", w.try(t, "mara@example.com", thief), "sign_in_failed")
	}
	w.expect(t, "the eleventh", w.try(t, "mara@example.com", thief), "sign_in_limited")
	w.pass(15 * time.Minute)
	w.expect(t, "later", w.try(t, "mara@example.com", thief), "sign_in_failed")
}

func TestDeviceTokens(t *testing.T) {
	w := sqliteWorld(t)
	token := w.newDevice("opr_1", "")
	id := w.deviceOf(token, "opr_1")
	if id == "" {
		t.Fatal("a fresh token is not known")
	}
	if again := w.newDevice("opr_1", id); w.deviceOf(again, "opr_1") != id {
		t.Error("the id was not kept")
	}
	raw, _ := base64.RawURLEncoding.DecodeString(token)
	raw[len(raw)-1] ^= 1
	rows := map[string]string{"empty": "", "not base64": "!", "altered": base64.RawURLEncoding.EncodeToString(raw), "cut": token[:len(token)-4],
		"another purpose": base64.RawURLEncoding.EncodeToString(w.o.Sealer.Seal("flash:", []byte("opr_1 x 9999999999")))}
	for name, bad := range rows {
		if w.deviceOf(bad, "opr_1") != "" {
			t.Errorf("%s is taken", name)
		}
	}
	if w.deviceOf(token, "opr_2") != "" || w.deviceOf(token, "") != "" {
		t.Error("a token counts for another operator")
	}
	w.pass(deviceLife)
	if w.deviceOf(token, "opr_1") == "" {
		t.Error("ended early")
	}
	w.pass(time.Second)
	if w.deviceOf(token, "opr_1") != "" {
		t.Error("never ends")
	}
}

func TestMemoryCounterIsBounded(t *testing.T) {
	w := sqliteWorld(t)
	m := NewMemoryCounter(w.now)
	count := func(key string) int64 { n, _ := m.Incr(context.Background(), key, time.Minute); return n }
	for n := range memoryCounts + 1000 {
		count(fmt.Sprint(n))
	}
	if len(m.counts) > memoryCounts {
		t.Fatalf("%d counts", len(m.counts))
	}
	w.pass(time.Minute)
	if n := count("fresh"); n != 1 || len(m.counts) != 1 {
		t.Fatalf("count %d, %d are kept", n, len(m.counts))
	}
	if n := count("fresh"); n != 2 {
		t.Fatalf("count %d", n)
	}
	w.pass(time.Minute)
	if n, _ := m.Count(context.Background(), "fresh"); n != 0 {
		t.Fatalf("count %d after the window", n)
	}
}
