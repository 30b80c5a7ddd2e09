package clientaddr

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestOf(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	tests := []struct {
		name    string
		peer    string
		forward []string
		want    string
		trusted bool
	}{
		{"no proxy", "192.0.2.1:1", nil, "192.0.2.1", false},
		{"a stranger's header is ignored", "192.0.2.1:1", []string{"198.51.100.1"}, "192.0.2.1", false},
		{"one proxy", "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1", true},
		{"what the client wrote is ignored", "10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1", true},
		{"two proxies", "10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1, 10.0.0.2"}, "198.51.100.1", true},
		{"all lines count, the last first", "10.0.0.1:1", []string{"203.0.113.9", "198.51.100.1, 10.0.0.2"}, "198.51.100.1", true},
		{"only proxies", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3", true},
		{"no header", "10.0.0.1:1", nil, "10.0.0.1", true},
		{"garbage ends the search at who vouched", "10.0.0.1:1", []string{"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2", true},
		{"an empty hop too", "10.0.0.1:1", []string{"198.51.100.1, , 10.0.0.2"}, "10.0.0.2", true},
		{"with a port", "10.0.0.1:1", []string{"198.51.100.1:4711"}, "198.51.100.1", true},
		{"IPv6 with a port", "10.0.0.1:1", []string{"[2001:db8::1]:4711"}, "2001:db8::1", true},
		{"IPv6 in brackets", "[::1]:1", []string{"[2001:db8::1]"}, "2001:db8::1", true},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1", true},
		{"a zone is dropped", "[::1]:1", []string{"fe80::1%eth0"}, "fe80::1", true},
		{"Unix socket", "@", []string{"198.51.100.1"}, "invalid IP", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.forward}}
			got, trusted := Of(r, proxies)
			if got.String() != tt.want || trusted != tt.trusted {
				t.Errorf("got %v, trusted %v; want %v, %v", got, trusted, tt.want, tt.trusted)
			}
		})
	}
}

func BenchmarkOf(b *testing.B) {
	r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"203.0.113.9, 198.51.100.1"}}}
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	b.ReportAllocs()
	for b.Loop() {
		Of(r, proxies)
	}
}
