package export_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/app/export"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// TestMain runs the tests, or in a process that a test started exports.
func TestMain(m *testing.M) {
	if os.Getenv("GATEHOUSE_TEST_EXPORT") == "" {
		storetest.Main(m)
	}
	fmt.Println(exportUntilKilled(context.Background()))
	os.Exit(1)
}

// exportUntilKilled exports to a folder and to a stand-in for Stripe without
// a pause, and says when it begins.
func exportUntilKilled(ctx context.Context) error {
	began := time.Now()
	now := func() time.Time { return noon.Add(24*time.Hour + time.Since(began)) }
	s, err := store.OpenLedger(ctx, store.Options{DSN: os.Getenv("GATEHOUSE_TEST_DSN"), Path: os.Getenv("GATEHOUSE_TEST_PATH"), Now: now})
	if err != nil {
		return err
	}
	folder, err := export.OpenFolder(os.Getenv("GATEHOUSE_TEST_EXPORT"))
	if err != nil {
		return err
	}
	e, err := export.New(export.Options{Source: metering.Exporter{Store: s}, Cursors: s, To: folder, Gzip: true, Scratch: os.Getenv("GATEHOUSE_TEST_SCRATCH")})
	if err != nil {
		return err
	}
	stripe := export.NewStripe(export.StripeOptions{Source: metering.Exporter{Store: s}, Outbox: s, Customers: customers{"org_1": "cus_org_1", "org_2": "cus_org_2"},
		Meters: mapped, SecretKey: "sk_test_1", URL: os.Getenv("GATEHOUSE_TEST_STRIPE"), Allow: true, Now: now})
	fmt.Println("ready")
	for {
		if _, err := e.Once(ctx); err != nil {
			return err
		}
		if err := stripe.Once(ctx); err != nil {
			return err
		}
	}
}

// TestKilledExportersSkipAndDoubleNothing kills the process that exports, with
// SIGKILL and at random, while requests are counted.
func TestKilledExportersSkipAndDoubleNothing(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	eachEngine(t, func(t *testing.T, o store.Options) {
		w := newStripeWorld(t, o, always(takes))
		w.customer("org_1")
		w.customer("org_2")
		out, scratch := filepath.Join(t.TempDir(), "out"), t.TempDir()
		for range rounds {
			kill := startExporting(t, o, out, scratch, w.stripe.URL)
			w.traffic(3*(1+rand.IntN(20)), "org_1", "org_2")
			kill()
		}
		w.clock.pass(time.Hour) // what the dead had claimed is free again
		p := folderPlace(out)
		if _, err := newExporter(t, w.ledger, w.ledger, p.open(t), true, 0).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		var sums sums
		for name, body := range p.read(t) {
			if filepath.Ext(name) == ".gz" { // a draft of the dead is none
				sums.add(t, unzip(t, body))
			}
		}
		sums.equal(t, w.ledger)
		w.once(nil)
		if s := w.status(); s.Due+s.Waiting+s.Parked != 0 {
			t.Errorf("status %+v", s)
		}
		w.stripe.faults = nil // who was killed may still have a request there when the next one begins
		w.expect("org_1")
		w.expect("org_2")
	})
}

// startExporting starts a process that exports, and returns what kills it.
func startExporting(t *testing.T, o store.Options, out, scratch, stripe string) (kill func()) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "GATEHOUSE_TEST_EXPORT="+out, "GATEHOUSE_TEST_SCRATCH="+scratch, "GATEHOUSE_TEST_STRIPE="+stripe,
		"GATEHOUSE_TEST_DSN="+o.DSN, "GATEHOUSE_TEST_PATH="+o.Path)
	said, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	if lines.Scan(); lines.Text() != "ready" {
		t.Errorf("it said %q", lines.Text())
	}
	return func() {
		command.Process.Kill()
		for lines.Scan() {
			t.Error(lines.Text()) // it failed before it was killed
		}
		command.Wait() // which says that it was killed
	}
}
