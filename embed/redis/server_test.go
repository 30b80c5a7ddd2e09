package redis

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// say sends commands in the inline form and answers the lines that come back.
func say(t *testing.T, s *Server, commands string, lines int) []string {
	t.Helper()
	c, err := s.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, commands); err != nil {
		t.Fatal(err)
	}
	answers, reader := []string{}, bufio.NewReader(c)
	for range lines {
		line, err := reader.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, strings.TrimSpace(line))
	}
	return answers
}

func command(words ...string) string {
	text := "*" + string(rune('0'+len(words))) + "\r\n"
	for _, w := range words {
		text += "$" + string(rune('0'+len(w))) + "\r\n" + w + "\r\n"
	}
	return text
}

func start(t *testing.T) *Server {
	t.Helper()
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestTimePassesForKeysThatExpire(t *testing.T) {
	s := start(t)
	say(t, s, command("SET", "short", "1", "PX", "300")+command("SET", "long", "1", "PX", "9000000"), 2)
	begun := time.Now()
	for say(t, s, command("EXISTS", "short"), 1)[0] == ":1" {
		if time.Since(begun) > 20*time.Second {
			t.Fatal("a key never expired")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(begun); took < 200*time.Millisecond {
		t.Errorf("300 ms were over after %s", took)
	}
	if say(t, s, command("EXISTS", "long"), 1)[0] != ":1" {
		t.Error("a key expired long before its time")
	}
}

// The client writes everything before it reads: a bare pipe would stand still.
func TestLongPipelineDoesNotStandStill(t *testing.T) {
	s := start(t)
	const n = 20_000
	if got := say(t, s, strings.Repeat(command("PING"), n), n); got[n-1] != "+PONG" {
		t.Errorf("the last answer is %q", got[n-1])
	}
}

func TestClosedServerRefusesAndLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("a connection of a closed server: %v", err)
	}
	c.Close()
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("wrote on a closed connection")
	}
	if _, err := s.Dial(t.Context(), "", ""); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dialled a closed server: %v", err)
	}
	for limit := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(limit); {
		runtime.Gosched()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines are left of %d", after, before)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := start(t).Dial(ended, "", ""); err == nil {
		t.Error("dialled although the caller has left")
	}
}
