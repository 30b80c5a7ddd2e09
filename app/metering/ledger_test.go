package metering_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
)

func TestEveryRequestIsCountedOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		l := openMeter(t, metering.Options{Store: s})
		const producers, each = 32, 50
		var wait sync.WaitGroup
		for p := range producers {
			wait.Go(func() {
				for i := range each {
					in := request(fmt.Sprintf("org_%d", p%4), noon.Add(time.Duration(i)*time.Minute))
					in.Weight = int64(p)
					count(t, l, in, []int{200, 302, 404, 503, 101}[i%5])
				}
			})
		}
		wait.Wait()
		if got := total(t, s); got.Requests != producers*each { // before anything was folded by intent
			t.Errorf("%d requests while it runs, want %d", got.Requests, producers*each)
		}
		closeMeter(t, l)
		n := int64(producers * each)
		want := app.UsageRow{Start: noon.Add(-12 * time.Hour), Requests: n, Weight: each * producers * (producers - 1) / 2,
			Status2: n / 5 * 2, Status3: n / 5, Status4: n / 5, Status5: n / 5, BytesIn: 10 * n, BytesOut: 100 * n,
			Duration: time.Duration(n) * time.Millisecond}
		if got := total(t, s); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		proof := mustHold(t, s)
		if proof.Requests != n || proof.Outcomes != n || proof.Unknown != 0 || proof.Buckets != 4*4 {
			t.Errorf("proof %+v", proof)
		}
	})
}

func TestOutcomesThatDoNotTellAStatusStayUnknown(t *testing.T) {
	s := openLedger(t, sqliteOptions(t))
	l := openMeter(t, metering.Options{Store: s})
	count(t, l, request("org_1", noon), 0)   // the client left
	count(t, l, request("org_1", noon), 200) // answered
	ticket := l.Begin(request("org_1", noon))
	if err := ticket.Wait(t.Context()); err != nil { // never settled: as after a crash
		t.Fatal(err)
	}
	closeMeter(t, l)
	if got := total(t, s); got.Requests != 3 || got.Unknown != 2 || got.Status2 != 1 || got.BytesOut != 200 {
		t.Errorf("got %+v", got)
	}
	if proof := mustHold(t, s); proof.Unknown != 1 {
		t.Errorf("%d requests without an outcome, want 1", proof.Unknown)
	}
}

func TestAnOutcomeCountsInTheBucketOfItsRequest(t *testing.T) {
	s := openLedger(t, sqliteOptions(t))
	l := openMeter(t, metering.Options{Store: s})
	ticket := l.Begin(request("org_1", noon.Add(-time.Millisecond)))
	count(t, l, request("org_1", noon), 200)
	l.Settle(ticket, app.Outcome{Status: 200, Duration: 3 * time.Hour}) // a long connection
	closeMeter(t, l)
	rows, err := metering.Reports{Store: s}.Usage(t.Context(), system,
		app.UsageQuery{Since: noon.Add(-app.BucketLength), Until: noon.Add(app.BucketLength), Step: app.BucketLength})
	if err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, row := range rows {
		if row.Requests != 1 || row.Status2 != 1 || row.Unknown != 0 {
			t.Errorf("bucket %d: %+v", i, row)
		}
	}
	mustHold(t, s)
}

func TestSettleBeforeWaitAndWithoutWait(t *testing.T) {
	s := openLedger(t, sqliteOptions(t))
	l := openMeter(t, metering.Options{Store: s})
	for range 100 {
		ticket := l.Begin(request("org_1", noon))
		l.Settle(ticket, app.Outcome{Status: 200})
	}
	closeMeter(t, l)
	if got := total(t, s); got.Requests != 100 || got.Status2 != 100 {
		t.Errorf("got %+v", got)
	}
	mustHold(t, s)
}

func TestTheZeroTicketIsNotMetered(t *testing.T) {
	s := openLedger(t, sqliteOptions(t))
	l := openMeter(t, metering.Options{Store: s})
	var ticket metering.Ticket
	if err := ticket.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	l.Settle(ticket, app.Outcome{Status: 200})
	closeMeter(t, l)
	if proof := mustHold(t, s); proof.Blocks != 0 {
		t.Errorf("%d blocks", proof.Blocks)
	}
}

func TestValuesOutOfBoundsAreCut(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		l := openMeter(t, metering.Options{Store: s})
		for range 3 {
			in := app.Intent{At: noon, Org: "org\x00_1\xff", Key: "key\x00", Route: "\xf0\x9f", Weight: 1 << 62}
			ticket := l.Begin(in)
			if err := ticket.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.Settle(ticket, app.Outcome{Status: 12345, BytesIn: -5, BytesOut: 1 << 62, Duration: -time.Second})
			old := l.Begin(app.Intent{At: time.Time{}, Org: "org_old", Weight: -7})
			l.Settle(old, app.Outcome{Status: -1, Duration: 1 << 62})
		}
		closeMeter(t, l)
		if got := total(t, s); got.Requests != 3 || got.Weight != 3e9 || got.Status5 != 3 || got.BytesOut != 3<<50 || got.BytesIn != 0 || got.Duration != 0 {
			t.Errorf("got %+v", got)
		}
		mustHold(t, s)
	})
}

func TestReplicasFollowEachOtherInOneChain(t *testing.T) {
	eachEngine(t, func(t *testing.T, o store.Options) {
		s := openLedger(t, o)
		for run := range 4 {
			l := openMeter(t, metering.Options{Store: s, Node: fmt.Sprint("node ", run)})
			if run != 2 { // one that writes nothing leaves no hole
				count(t, l, request("org_1", noon), 200)
			}
			closeMeter(t, l)
		}
		if proof := mustHold(t, s); proof.Replicas != 4 || proof.Requests != 3 {
			t.Errorf("proof %+v", proof)
		}
		nothing := app.LedgerWalk{Block: func(int64, int64, []byte) error { return nil }, Bucket: func(app.UsageBucket) error { return nil }}
		nothing.Replicas = func(list []app.LedgerReplica) error {
			for _, r := range list {
				if r.ClosedAt.IsZero() {
					t.Errorf("the end of replica %d is not noted", r.ID)
				}
			}
			return nil
		}
		if err := s.WalkLedger(t.Context(), nothing); err != nil {
			t.Error(err)
		}
	})
}

func TestStatsTellWhatHappened(t *testing.T) {
	s := openLedger(t, sqliteOptions(t))
	l := openMeter(t, metering.Options{Store: s})
	for range 3 {
		count(t, l, request("org_1", noon), 200)
	}
	closeMeter(t, l)
	got := l.Stats()
	if got.Requests != 3 || got.Outcomes != 3 || got.Blocks < 3 || got.Applied != got.Blocks || got.Bytes == 0 || got.Pending != 0 ||
		!got.StalledSince.IsZero() || got.LastError+got.ApplyError+got.LegacyError != "" || got.Sync != app.LedgerSyncFull {
		t.Errorf("stats %+v", got)
	}
	if err := l.Ready(); !app.IsKind(err, app.KindUnavailable) {
		t.Errorf("a closed ledger is ready: %v", err)
	}
	late := l.Begin(request("org_1", noon))
	if err := late.Wait(t.Context()); !app.IsKind(err, app.KindUnavailable) {
		t.Errorf("a closed ledger takes requests: %v", err)
	}
	l.Settle(late, app.Outcome{Status: 503})
	if got := l.Stats(); got.Refused != 1 {
		t.Errorf("%d refused, want 1", got.Refused)
	}
}
