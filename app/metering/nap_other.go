//go:build !linux

package metering

import "time"

func nap(d time.Duration) { time.Sleep(d) }
