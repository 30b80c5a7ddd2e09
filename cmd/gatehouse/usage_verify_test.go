package main

import (
	"bytes"
	"testing"
	"time"
)

func TestALongProofTellsHowFarItIs(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	tell := (&cli{err: &out}).progress(func() time.Time { return now })
	for _, read := range []int64{0, 50, 100, 150} {
		tell(read, 400)
		now = now.Add(5 * time.Second)
	}
	if got, want := out.String(), "Read 100 of 400 blocks (25 %) in 10s; about 30s more, and the tables.\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
