package metering

import (
	"time"

	"golang.org/x/sys/unix"
)

// nap sleeps for less than a millisecond. time.Sleep cannot on Linux: an idle
// Go program polls the network in whole milliseconds, so 0.2 ms become 1.1.
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&ts, nil) // a signal may end it early, which does no harm
}
