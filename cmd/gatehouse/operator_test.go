package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOperatorsByCommandLine(t *testing.T) {
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme")
	var link oneTimeLink
	x.do(&link, "operator", "link")
	if !strings.HasPrefix(link.URL, "http://127.0.0.1:8081/claim?token=") || link.Email != "" {
		t.Errorf("nobody has claimed it, and the link is %+v", link)
	}
	var added freshPassword
	x.do(&added, "operator", "add", "--email", "Mara@example.com", "--name", "Mara")
	if added.Email != "mara@example.com" || len(added.Password) < 20 {
		t.Errorf("added %+v", added)
	}
	x.do(&link, "operator", "link", "--set", "console.public_url=https://console.example.com")
	if !strings.HasPrefix(link.URL, "https://console.example.com/sign-in/link?token=") || link.Email != "mara@example.com" {
		t.Errorf("the link is %+v", link)
	}
	if code, out, errs := x.run("violet tractor sings at dawn\n", "operator", "reset-password", "--password-stdin", "--json"); code != exitOK ||
		strings.Contains(out, "tractor") {
		t.Errorf("reset: exit %d: %s%s", code, out, errs)
	}
	x.refused(exitInvalid, "no password", "operator", "reset-password", "--password-stdin")
	x.refused(exitConflict, "", "operator", "add", "--email", "mara@example.com", "--name", "Mara")
	x.do(nil, "operator", "add", "--email", "ben@example.com", "--name", "Ben")
	x.do(nil, "operator", "remove", "ben@example.com", "--yes")
	var list operators
	x.do(&list, "operator", "list")
	if len(list.Items) != 1 || list.Items[0].Email != "mara@example.com" {
		t.Errorf("left are %+v", list)
	}
}

func TestTheServiceManagerIsTold(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Skip("SKIPPED: no datagram sockets here: ", err)
	}
	defer listener.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "2000")
	manager := findServiceManager()
	manager.tell("READY=1")
	stop := make(chan struct{})
	defer close(stop)
	go manager.watch(stop, func() bool { return true })
	buffer := make([]byte, 64)
	listener.SetReadDeadline(time.Now().Add(patience))
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if n, err := listener.Read(buffer); err != nil || string(buffer[:n]) != want {
			t.Fatalf("%q, %v, want %s", buffer[:n], err, want)
		}
	}
}
