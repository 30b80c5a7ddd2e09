package metering_test

import (
	"fmt"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// TestAFullDiskAcknowledgesNothing counts until the disk refuses to write, by
// a file system that is full (needs root) and by the process's own limit.
func TestAFullDiskAcknowledgesNothing(t *testing.T) {
	t.Run("file system", func(t *testing.T) {
		dir := t.TempDir()
		if err := syscall.Mount("gatehouse-test", dir, "tmpfs", 0, "size=1m"); err != nil {
			t.Skipf("SKIPPED: a small file system needs the right to mount: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		countUntilFull(t, dir, func() {
			if err := syscall.Mount("gatehouse-test", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("limit", func(t *testing.T) {
		signal.Ignore(syscall.SIGXFSZ)
		defer signal.Reset(syscall.SIGXFSZ)
		var before syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
		lift := func() {
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
				t.Fatal(err)
			}
		}
		defer lift()
		// Not a whole number of pages: a write ends in the middle of one.
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 600_123, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
		countUntilFull(t, t.TempDir(), lift)
	})
}

func countUntilFull(t *testing.T, dir string, makeRoom func()) {
	o := store.Options{Path: filepath.Join(dir, "gatehouse.db")}
	s := openLedger(t, o)
	l := openMeter(t, metering.Options{Store: s, Patience: impatient})
	in, out := tokens(request("org_1", noon), monthly("org_1"), 7)
	acknowledged := int64(0)
	for {
		in.Route = app.RouteID(strings.Repeat("x", 3000)) // fills quickly
		ticket := l.Begin(in)
		err := ticket.Wait(t.Context())
		if err != nil {
			wantUnavailable(t, err)
			refused := out
			refused.Status = 503
			l.Settle(ticket, refused)
			break
		}
		l.Settle(ticket, out)
		if acknowledged++; acknowledged > 10_000 {
			t.Fatal("the disk is not full")
		}
	}
	if got := l.Stats(); got.StalledSince.IsZero() || got.LastError == "" {
		t.Errorf("stats %+v", got)
	}
	if got := total(t, s); got.Requests != acknowledged {
		t.Errorf("%d requests are counted, %d acknowledged", got.Requests, acknowledged)
	}
	makeRoom()
	untilReady(t, l)
	count(t, l, request("org_1", noon), 200)
	closeMeter(t, l)
	got := total(t, s)
	if got.Status2 != acknowledged+1 || got.Status5 != 1 || got.Requests != acknowledged+2 {
		t.Errorf("acknowledged %d before and 1 after, got %+v", acknowledged, got)
	}
	want := fmt.Sprintf("org_1 tokens_output month: %d spent, 0 held\n", 7*(acknowledged+1))
	if got := accounts(t, s); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	mustHold(t, s)
	t.Logf("full after %d requests: %s", acknowledged, l.Stats().LastError)
}
