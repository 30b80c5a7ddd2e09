package storetest

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// RedisServer is a Redis of one test.
type RedisServer struct {
	Addr    string // host:port
	dir     string
	binary  string
	process *process
}

// Redis answers the address of an empty Redis of the test's own.
func Redis(t testing.TB) (addr string) {
	t.Helper()
	return NewRedis(t).Addr
}

// NewRedis starts a Redis of the test's own, to be stopped and started in the
// test. It keeps nothing on disk: after Stop and Start it is empty.
func NewRedis(t testing.TB) *RedisServer {
	t.Helper()
	binary, err := program("redis-server")
	if err != nil {
		missing(t, "Redis", err)
	}
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := &RedisServer{Addr: "127.0.0.1:" + port, dir: t.TempDir(), binary: binary}
	if err := s.Start(); err != nil {
		t.Fatalf("start Redis: %v", err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Start starts a stopped server on its address and waits until it answers.
func (s *RedisServer) Start() (err error) {
	host, port, _ := net.SplitHostPort(s.Addr)
	s.process, err = spawn(account{}, s.dir, "", s.binary,
		"--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", s.dir)
	if err != nil {
		return err
	}
	return s.process.await(s.ping)
}

// Stop stops the server; stopping it twice does nothing more.
func (s *RedisServer) Stop() { s.process.stop() }

func (s *RedisServer) ping() error {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(answer, "+PONG") {
		err = fmt.Errorf("redis answered %q", answer)
	}
	return err
}
