package metering_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/store/storetest"
)

// ofUsage matches the files of usage.db.
func ofUsage(path string) bool { return strings.HasPrefix(filepath.Base(path), "usage.db") }

// TestAFailingSyncAcknowledgesNothing lets every fsync of a ledger fail that
// counts. Nothing is acknowledged from then on, neither requests nor events:
// all that was is durable, as a power failure shows, and a killed process's
// files, and a process that goes on with them on a disk that is well again.
func TestAFailingSyncAcknowledgesNothing(t *testing.T) {
	dir := t.TempDir()
	disk := storetest.NewDisk(t, dir)
	v := startBroken(t, disk, dir, 0)
	v.await("requests and events are acknowledged", func() bool { return len(v.requests) > 100 && len(v.events) > 20 })
	disk.Break(ofUsage)
	v.await("both are refused", func() bool { return v.refusedRequests > 50 && v.refusedEvents > 5 })
	heard := disk.Counts()
	if heard.FailedSyncs < 2 || heard.Syncs < 2 || heard.Writes < heard.Syncs {
		t.Fatalf("the disk heard of %+v: does SQLite call fsync?", heard)
	}
	lights := t.TempDir()
	disk.PowerFailure(t, lights)
	disk.Break(func(path string) bool { // with a whole commit in the log that is not durable
		if strings.HasSuffix(path, "usage.db-wal") {
			v.process.Process.Kill()
		}
		return ofUsage(path)
	})
	<-v.ended
	v.kill()
	t.Logf("%+v; %d requests and %d batches of events acknowledged", heard, len(v.requests), len(v.events))
	v.survive(lights)

	killed := t.TempDir() // the machine still runs: all that was written can be read
	copyLedger(t, dir, killed)
	v.survive(killed)

	disk.Break(nil)
	next := startBroken(t, disk, dir, 1)
	next.await("more is acknowledged", func() bool { return len(next.requests) > 100 && len(next.events) > 20 })
	lights = t.TempDir()
	disk.PowerFailure(t, lights)
	next.kill()
	v.and(next)
	v.survive(lights)
	v.survive(dir)
}

// TestASyncThatFailsForAWhile lets fsync fail and succeed again under one
// process: what it acknowledges then is durable, and does not stand on pages
// that the failed fsync lost.
func TestASyncThatFailsForAWhile(t *testing.T) {
	dir := t.TempDir()
	disk := storetest.NewDisk(t, dir)
	v := startBroken(t, disk, dir, 0)
	for range 3 {
		before := v.acknowledged()
		v.await("requests and events are acknowledged", func() bool { return v.acknowledged() > before+50 })
		refused := v.refused()
		disk.Break(ofUsage)
		v.await("both are refused", func() bool { return v.refusedRequests > 0 && v.refusedEvents > 0 && v.refused() > refused+20 })
		disk.Break(nil)
	}
	before := len(v.requests)
	v.await("requests are acknowledged again", func() bool { return len(v.requests) > before+50 })
	lights := t.TempDir()
	disk.PowerFailure(t, lights)
	v.kill()
	v.survive(lights)
	v.survive(dir)
}

func copyLedger(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"usage.db", "usage.db-wal"} {
		writeFile(t, filepath.Join(to, name), readFile(t, filepath.Join(from, name)))
	}
}

// TestADiskKnowsWhatIsDurable holds the tool of these tests to its word.
func TestADiskKnowsWhatIsDurable(t *testing.T) {
	if path := os.Getenv(writerPath); path != "" {
		writeInSteps(path)
	}
	dir := t.TempDir()
	disk := storetest.NewDisk(t, dir)
	w := startWriter(t, disk, filepath.Join(dir, "file"))
	for _, c := range []struct {
		step, want string
		broken     bool
	}{
		{"write a 0", "", false},
		{"sync", "a", false},
		{"write b 5000", "a", false},
		{"sync", "a", true},
		{"sync", "a", false}, // what was lost stays lost
		{"write b 5000", "a", false},
		{"sync", "ab", false},
	} {
		disk.Break(func(string) bool { return c.broken })
		w.step(t, c.step, c.broken)
		lights := t.TempDir()
		disk.PowerFailure(t, lights)
		left, err := os.ReadFile(filepath.Join(lights, "file"))
		if got := strings.ReplaceAll(string(left), "\x00", ""); err != nil || got != c.want {
			t.Errorf("%s: %q would be left, want %q (%v)", c.step, got, c.want, err)
		}
	}
}
