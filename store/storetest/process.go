// Package storetest gives tests real servers: PostgreSQL and Redis, started
// from the installed programs on loopback, in temporary folders, and stopped
// with the test's process. It imports nothing of the product, so that every
// package's tests may use it; package storetest/each opens stores on them.
package storetest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// startTimeout is how long a server may take to answer: a loaded machine is slow.
const startTimeout = 2 * time.Minute

// guard runs the server as its child and ends it when its own standard input
// ends, which happens however the test's process goes, kill -9 included. The
// signals of a terminal are for the test, which then ends the server.
// Its first argument is a folder to remove after that, or empty.
const guard = `trap '' INT HUP TERM
scrap=$1; shift
"$@" </dev/null & server=$!
cat >/dev/null
kill -INT $server
wait $server
[ -z "$scrap" ] || rm -rf "$scrap"`

// process is a server under its guard.
type process struct {
	command *exec.Cmd
	hold    io.Closer // closing it ends the server
	log     string    // path of what the server printed
	done    chan struct{}
}

// spawn starts the program as the user in dir; what it prints goes to the file
// log there. The folder scrap is removed when the server has ended.
func spawn(user account, dir, scrap, program string, args ...string) (*process, error) {
	log := filepath.Join(dir, "log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	command := exec.Command("/bin/sh", append([]string{"-c", guard, "guard", scrap, program}, args...)...)
	command.Dir, command.Stdout, command.Stderr = dir, out, out
	user.apply(command)
	hold, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{command: command, hold: hold, log: log, done: make(chan struct{})}
	go func() {
		command.Wait() // a server that is interrupted may report a failure
		close(p.done)
	}()
	return p, nil
}

// stop ends the server and waits for it.
func (p *process) stop() {
	p.hold.Close()
	<-p.done
}

// await asks until the server answers; a server that ended is not asked again.
func (p *process) await(answers func() error) error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := answers()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			err = fmt.Errorf("the server ended")
		case <-time.After(20 * time.Millisecond):
			if time.Now().Before(deadline) {
				continue
			}
		}
		said, _ := os.ReadFile(p.log)
		p.stop()
		return fmt.Errorf("%w; it said:\n%s", err, said)
	}
}

// Ports for servers lie below those that systems take for outgoing connections
// (Linux: from 32768, others: from 49152), so that none of those takes a port
// while its server is away.
const (
	firstPort = 10_100 // browsers refuse 10080
	ports     = 32_768 - firstPort
)

// given counts the ports that FreePort has looked at.
var given atomic.Int64

// FreePort finds a port on loopback that nothing uses now. It stays free for a
// server that stops and starts again: this process is given it no second time,
// and others begin elsewhere.
func FreePort() (string, error) {
	for range ports {
		at := (int64(os.Getpid())*211 + given.Add(1)) % ports
		port := strconv.FormatInt(firstPort+at, 10)
		if listener, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return port, listener.Close()
		}
	}
	return "", errors.New("no port is free")
}

// program finds an installed program on PATH or in the folders.
func program(name string, folders ...string) (string, error) {
	for _, pattern := range folders {
		paths, _ := filepath.Glob(filepath.Join(pattern, name))
		sort.Strings(paths)
		for i := len(paths) - 1; i >= 0; i-- { // the newest version first
			if found, err := exec.LookPath(paths[i]); err == nil {
				return found, nil
			}
		}
	}
	return exec.LookPath(name)
}

// missing skips a test loudly, or fails it where nothing may be skipped.
func missing(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed: %v", what, err)
	}
	t.Skipf("SKIPPED: %s is not installed, so this test shows nothing: %v", what, err)
}

// cleanups end what the process shares; Main runs them.
var cleanups struct {
	sync.Mutex
	list []func()
}

func atEnd(fn func()) {
	cleanups.Lock()
	defer cleanups.Unlock()
	cleanups.list = append(cleanups.list, fn)
}

// Main runs a package's tests and then waits for the end of the shared servers:
// func TestMain(m *testing.M) { storetest.Main(m) }. Without it they end all
// the same, but a moment after the test's process.
func Main(m *testing.M) {
	code := m.Run()
	cleanups.Lock()
	for i := len(cleanups.list) - 1; i >= 0; i-- {
		cleanups.list[i]()
	}
	os.Exit(code)
}
