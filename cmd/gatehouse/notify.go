package main

import (
	"net"
	"os"
	"strconv"
	"time"
)

// serviceManager speaks systemd's notify protocol (sd_notify(3)): datagrams to
// the socket that NOTIFY_SOCKET names. Without one it is silent.
type serviceManager struct {
	socket   string
	interval time.Duration // of watchdog messages; 0: none are wanted
}

// findServiceManager reads what systemd put into the environment.
func findServiceManager() serviceManager {
	m := serviceManager{socket: os.Getenv("NOTIFY_SOCKET")}
	if usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		if pid := os.Getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
			m.interval = time.Duration(usec) * time.Microsecond / 2
		}
	}
	return m
}

// tell sends a state such as "READY=1". A manager that is gone is no reason
// to stop serving, so errors are not reported.
func (m serviceManager) tell(state string) {
	if m.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	conn.Write([]byte(state))
}

// watch tells the manager at its interval that the program is well, until
// stop is closed. healthy decides each time.
func (m serviceManager) watch(stop <-chan struct{}, healthy func() bool) {
	if m.interval <= 0 {
		return
	}
	tick := time.NewTicker(m.interval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if healthy() {
				m.tell("WATCHDOG=1")
			}
		}
	}
}
