package metering_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

// unapplied is how many replicas have blocks that no bucket holds yet.
func unapplied(t *testing.T, s *store.Ledger) (n int) {
	t.Helper()
	replicas, err := s.Unapplied(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(replicas)
}

func TestAStartAppliesWhatACrashLeft(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := &faulty{Ledger: openLedger(t, o)}
		s.onApply(func(func() (bool, error)) (bool, error) { return false, errDisk }) // it never comes to that
		crashed := openMeter(t, metering.Options{Store: s})
		for range 10 {
			count(t, crashed, request("org_1", noon), 200)
		}
		before := total(t, s)
		if before.Requests != 10 {
			t.Fatalf("a reader beside it sees %d requests, want 10", before.Requests)
		}
		next := openMeter(t, metering.Options{Store: s.Ledger})
		if n := unapplied(t, s.Ledger); n > 1 { // the crashed one may still write outcomes
			t.Errorf("%d replicas are not applied", n)
		}
		count(t, next, request("org_1", noon), 200)
		closeMeter(t, next)
		if got := total(t, s); got.Requests != 11 {
			t.Errorf("got %+v", got)
		}
		mustHold(t, s)
	})
}

func TestManyStartsAtOnceApplyOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := &faulty{Ledger: openLedger(t, o)}
		s.onApply(func(func() (bool, error)) (bool, error) { return false, errDisk })
		for range 3 {
			crashed := openMeter(t, metering.Options{Store: s})
			for range 20 {
				count(t, crashed, request("org_1", noon), 200)
			}
		}
		var wait sync.WaitGroup
		for range 6 {
			wait.Go(func() {
				l := openMeter(t, metering.Options{Store: s.Ledger})
				count(t, l, request("org_1", noon), 200)
				closeMeter(t, l)
			})
		}
		wait.Wait()
		if got := total(t, s); got.Requests != 66 {
			t.Errorf("%d requests, want 66", got.Requests)
		}
		mustHold(t, s)
	})
}

// TestTakingOverALivingReplicaDoesNotDouble takes over a replica that is not
// dead, only slow: whoever is first, each block is applied once.
func TestTakingOverALivingReplicaDoesNotDouble(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := &faulty{Ledger: openLedger(t, o)}
		slow := openMeter(t, metering.Options{Store: s})
		entered, release := make(chan struct{}), make(chan struct{})
		var first sync.Once
		s.onApply(func(do func() (bool, error)) (bool, error) {
			first.Do(func() { close(entered); <-release })
			return do()
		})
		for range 10 {
			count(t, slow, request("org_1", noon), 200)
		}
		<-entered // it holds the sums of its blocks in memory
		other := openMeter(t, metering.Options{Store: s.Ledger})
		for range 5 {
			count(t, slow, request("org_1", noon), 200)
		}
		close(release) // its sums are outdated now
		for range 5 {
			count(t, slow, request("org_1", noon), 200)
		}
		closeMeter(t, slow)
		closeMeter(t, other)
		if got := total(t, s); got.Requests != 20 || got.Status2 != 20 {
			t.Errorf("got %+v", got)
		}
		mustHold(t, s)
	})
}

func TestALivingReplicaTakesOverADeadOne(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		base := openLedger(t, o)
		living := openMeter(t, metering.Options{Store: base, TakeOver: 10 * time.Millisecond})
		s := &faulty{Ledger: base}
		s.onApply(func(func() (bool, error)) (bool, error) { return false, errDisk })
		dead := openMeter(t, metering.Options{Store: s})
		for range 10 {
			count(t, dead, request("org_1", noon), 200)
			count(t, living, request("org_1", noon), 200)
		}
		for unapplied(t, s.Ledger) > 0 {
			time.Sleep(time.Millisecond)
		}
		closeMeter(t, living)
		if got := total(t, s); got.Requests != 20 {
			t.Errorf("got %+v", got)
		}
		mustHold(t, s)
	})
}

func TestBucketsThatCannotBeWrittenCatchUp(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := &faulty{Ledger: openLedger(t, o)}
		l := openMeter(t, metering.Options{Store: s})
		var tries atomic.Int64
		failed := make(chan struct{})
		s.onApply(func(do func() (bool, error)) (bool, error) {
			switch tries.Add(1) {
			case 1:
				return false, errDisk // not written
			case 2:
				_, err := do()
				defer close(failed)
				return false, errors.Join(err, errDisk) // written, but nobody heard it
			}
			return do()
		})
		for range 10 {
			count(t, l, request("org_1", noon), 200)
		}
		<-failed
		if got := total(t, s); got.Requests != 10 {
			t.Errorf("%d requests while buckets cannot be written, want 10", got.Requests)
		}
		for range 10 {
			count(t, l, request("org_1", noon), 200)
		}
		closeMeter(t, l)
		if got := total(t, s); got.Requests != 20 || got.Status2 != 20 {
			t.Errorf("got %+v", got)
		}
		mustHold(t, s)
	})
}

func TestAReaderNeedsNobodyWhoCounts(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		if got := total(t, openLedger(t, o)); got.Requests != 0 { // nobody has counted ever
			t.Errorf("got %+v", got)
		}
		l := openMeter(t, metering.Options{Store: openLedger(t, o)})
		count(t, l, request("org_1", noon), 200)
		if got := total(t, openLedger(t, o)); got.Requests != 1 { // another connection, while it runs
			t.Errorf("got %+v", got)
		}
		closeMeter(t, l)
		if got := total(t, openLedger(t, o)); got.Requests != 1 || got.Status2 != 1 {
			t.Errorf("got %+v", got)
		}
	})
}

// TestReadersSeeEveryAcknowledgedRequest reads while others count: a report
// never misses what was acknowledged before it began, nor counts twice.
func TestReadersSeeEveryAcknowledgedRequest(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		l := openMeter(t, metering.Options{Store: s})
		reader := openLedger(t, o)
		var begun, acknowledged atomic.Int64
		var wait sync.WaitGroup
		stop := make(chan struct{})
		for range 8 {
			wait.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					begun.Add(1)
					count(t, l, request("org_1", noon), 200)
					acknowledged.Add(1)
				}
			})
		}
		for acknowledged.Load() < 50 {
			time.Sleep(time.Millisecond)
		}
		for range 40 {
			low := acknowledged.Load()
			got := total(t, reader)
			if high := begun.Load(); got.Requests < low || got.Requests > high {
				t.Errorf("a report says %d requests, but %d to %d were counted", got.Requests, low, high)
			}
			if got.Status2+got.Unknown != got.Requests || got.Weight != got.Requests {
				t.Errorf("a report contradicts itself: %+v", got)
			}
			mustHold(t, reader)
		}
		close(stop)
		wait.Wait()
		closeMeter(t, l)
		if got := total(t, reader); got.Requests != acknowledged.Load() {
			t.Errorf("%d requests, want %d", got.Requests, acknowledged.Load())
		}
		mustHold(t, s)
	})
}

func TestADamagedTailIsNotSummedOver(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := &faulty{Ledger: openLedger(t, o)}
		s.onApply(func(func() (bool, error)) (bool, error) { return false, errDisk })
		l := openMeter(t, metering.Options{Store: s})
		count(t, l, request("org_1", noon), 200)
		execute(t, rawDatabase(t, o), `UPDATE usage_block SET body = $1`, []byte("not a block"))
		_, err := metering.Reports{Store: s}.Usage(t.Context(), system, app.UsageQuery{Since: noon, Until: noon.Add(time.Hour)})
		if known := app.AsError(err); known == nil || known.Code != "ledger_damaged" {
			t.Errorf("got %v, want ledger_damaged", err)
		}
		next := openMeter(t, metering.Options{Store: openLedger(t, o)}) // it starts, and tells
		if got := next.Stats(); got.LegacyError == "" {
			t.Error("the start does not tell that it could not apply a block")
		}
	})
}
