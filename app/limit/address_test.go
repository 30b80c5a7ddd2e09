package limit

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"gatehouse/app"
)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func newAddresses(clock *hand, change ...func(*AddressOptions)) *Addresses {
	o := AddressOptions{Now: clock.Now}
	for _, fn := range change {
		fn(&o)
	}
	return NewAddresses(o)
}

func TestAddressIsBlockedOnceItIsOverItsLimit(t *testing.T) {
	clock := newHand()
	a := newAddresses(clock)
	bad, good := addr("203.0.113.7"), addr("203.0.113.8")
	for i := range 100 {
		if d := a.Charge(clock.Now(), bad, 1); !d.OK || d.Remaining != int64(99-i) {
			t.Fatalf("request %d: %+v", i, d)
		}
		if _, blocked := a.Blocked(clock.Now(), bad); blocked {
			t.Fatalf("blocked after %d", i)
		}
	}
	d := a.Charge(clock.Now(), bad, 1)
	if d.OK || d.RetryAfter != 5*time.Minute {
		t.Fatalf("the 101st: %+v", d)
	}
	if p := d.Problem(clock.Now()); p.Code != "address_blocked" || p.Kind != app.KindRateLimited || p.RetryAfter != 5*time.Minute {
		t.Errorf("%+v", p)
	}
	if got := string(a.AppendPolicy(nil)) + " " + string(a.AppendRateLimit(nil, &d)); got != `"address";q=100;w=60 "address";r=0;t=300` {
		t.Error(got)
	}
	for range 299 { // units have refilled after a minute; the block stays, and trying does not renew it
		clock.Pass(time.Second)
		if until, blocked := a.Blocked(clock.Now(), bad); !blocked || until != newHand().at.Add(5*time.Minute) {
			t.Fatalf("at %s: blocked %v until %s", clock.Now(), blocked, until)
		}
		a.Charge(clock.Now(), bad, 1)
	}
	if _, blocked := a.Blocked(clock.Now(), good); blocked {
		t.Error("the neighbour is blocked")
	}
	clock.Pass(time.Second)
	if _, blocked := a.Blocked(clock.Now(), bad); blocked {
		t.Error("blocked after 300 s")
	}
	if d := a.Charge(clock.Now(), bad, 1); !d.OK {
		t.Errorf("after 300 s: %+v", d)
	}
}

func TestAddressesCountByWhatOneSubscriberHas(t *testing.T) {
	rows := []struct {
		one, two string
		same     bool
	}{
		{"203.0.113.7", "203.0.113.8", false},
		{"203.0.113.7", "::ffff:203.0.113.7", true},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"0.0.0.1", "::", false},
		{"0.0.0.0", "::", false},
	}
	for _, row := range rows {
		clock := newHand()
		a := newAddresses(clock, func(o *AddressOptions) { o.Limit = named("address", 1, time.Hour) })
		a.Charge(clock.Now(), addr(row.one), 1)
		if d := a.Charge(clock.Now(), addr(row.two), 1); d.OK == row.same {
			t.Errorf("%s and %s: counted together: %v", row.one, row.two, !d.OK)
		}
	}
}

func TestExemptAddressesAreNeverCounted(t *testing.T) {
	clock := newHand()
	a := newAddresses(clock, func(o *AddressOptions) {
		o.Limit = named("address", 1, time.Hour)
		o.Exempt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	})
	for _, text := range []string{"10.1.2.3", "::ffff:10.1.2.3", "fd00::1%eth0"} {
		for range 10 {
			if d := a.Charge(clock.Now(), addr(text), 1); !d.OK {
				t.Errorf("%s was refused", text)
			}
		}
	}
	if d := a.Charge(clock.Now(), netip.Addr{}, 5); !d.OK {
		t.Error("an unknown address was refused")
	}
	if a.Known() != 0 {
		t.Errorf("%d exempt addresses are remembered", a.Known())
	}
}

func TestFloodOfAddressesStaysBoundedAndFreesNobody(t *testing.T) {
	clock := newHand()
	a := newAddresses(clock, func(o *AddressOptions) { o.Most = 6400 })
	random := rand.New(rand.NewPCG(1, 2))
	bad := make([]netip.Addr, 200)
	for i := range bad {
		bad[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		a.Charge(clock.Now(), bad[i], 100)
		a.Charge(clock.Now(), bad[i], 1)
	}
	for range 200_000 {
		var raw [16]byte
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		a.Charge(clock.Now(), netip.AddrFrom16(raw), 1)
	}
	if got := a.Known(); got > 6400 {
		t.Errorf("%d addresses are remembered where 6400 may be", got)
	}
	free := 0
	for _, b := range bad {
		if _, blocked := a.Blocked(clock.Now(), b); !blocked {
			free++
		}
	}
	if free > 0 {
		t.Errorf("%d of 200 blocked addresses were freed by the flood", free)
	}
}

func TestAddressesAllocateNothing(t *testing.T) {
	a := NewAddresses(AddressOptions{Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	four, six, now := addr("203.0.113.7"), addr("2001:db8::1"), time.Now()
	a.Charge(now, four, 1)
	a.Charge(now, six, 1)
	if got := testing.AllocsPerRun(100, func() {
		a.Blocked(now, four)
		a.Blocked(now, six)
		a.Charge(now, six, 1)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkAddresses(b *testing.B) {
	a := NewAddresses(AddressOptions{})
	now := time.Now()
	known := addr("203.0.113.7")
	a.Charge(now, known, 1)
	b.Run("blocked?", func(b *testing.B) {
		for b.Loop() {
			a.Blocked(now, known)
		}
	})
	b.Run("flood of charges", func(b *testing.B) {
		var raw [16]byte
		for i := 0; b.Loop(); i++ {
			raw[0], raw[1], raw[2], raw[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
			a.Charge(now, netip.AddrFrom16(raw), 1)
		}
	})
}
