package token

import (
	"errors"
	"net"
	"testing"
	"time"
)

func TestGuardedDialLooksAtTheResolvedAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		conn, err := guardedDial(false, time.Second)(t.Context(), "tcp", host+":"+port)
		if !errors.Is(err, errPrivateAddress) {
			t.Errorf("%s: %v", host, err)
		}
		if conn != nil {
			conn.Close()
		}
	}
	conn, err := guardedDial(true, time.Second)(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatalf("allowed: %v", err)
	}
	conn.Close()
}
