package metering_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/app/metering"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// The broken victim counts requests and events on a disk that fails, and tells
// each number that it got acknowledged or refused, until it is killed.
const (
	brokenPath = "GATEHOUSE_TEST_BROKEN_PATH" // of gatehouse.db
	brokenRun  = "GATEHOUSE_TEST_BROKEN_RUN"  // its numbers begin at this many billions
	writerPath = "GATEHOUSE_TEST_WRITER_PATH" // of a file that writeInSteps writes
	hasty      = 300 * time.Millisecond       // patience of the victim
	brokenSize = 10                           // events of a batch
)

// What the victim tells of a number.
const (
	requestAcknowledged = 'r'
	requestRefused      = 'R'
	eventsAcknowledged  = 'e'
	eventsRefused       = 'E'
)

func TestBrokenVictim(t *testing.T) {
	path := os.Getenv(brokenPath)
	if path == "" {
		t.Skip("started by the tests whose disk fails")
	}
	var first int64
	fmt.Sscan(os.Getenv(brokenRun), &first)
	s, err := store.OpenLedger(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	l, err := metering.Open(t.Context(), metering.Options{Store: s, Patience: hasty})
	if err != nil {
		t.Fatal(err)
	}
	e, err := metering.OpenEvents(t.Context(), metering.EventsOptions{Store: s, Node: "victim"})
	if err != nil {
		t.Fatal(err)
	}
	var next atomic.Int64
	next.Store(first * 1_000_000_000)
	for range 8 {
		go produceRequests(l, &next)
		go produceEvents(e, &next)
	}
	select {} // until it is killed
}

func produceRequests(l *metering.Ledger, next *atomic.Int64) {
	for {
		n := next.Add(1)
		in, out := tokens(app.Intent{At: noon, Org: "org_1", Route: app.RouteID(fmt.Sprint(n)), Weight: 1}, monthly("org_1"), 7)
		ticket := l.Begin(in)
		if ticket.Wait(context.Background()) != nil {
			tell(requestRefused, n)
			out.Status = 503
		} else {
			tell(requestAcknowledged, n)
		}
		l.Settle(ticket, out)
	}
}

func produceEvents(e *metering.Events, next *atomic.Int64) {
	for {
		n := next.Add(brokenSize)
		ctx, cancel := context.WithTimeout(context.Background(), hasty)
		if _, err := e.Record(ctx, brokenEvents(n)); err != nil {
			tell(eventsRefused, n)
		} else {
			tell(eventsAcknowledged, n)
		}
		cancel()
	}
}

func brokenEvents(n int64) (list []app.Event) {
	for i := range int64(brokenSize) {
		list = append(list, reported("org_1", n+i))
	}
	return list
}

// tell writes nine bytes to a pipe, which are written whole.
func tell(what byte, n int64) {
	if what == requestRefused || what == eventsRefused {
		time.Sleep(time.Millisecond) // the disk, not this loop, shall have the processor
	}
	os.Stdout.Write(binary.LittleEndian.AppendUint64([]byte{what}, uint64(n)))
}

// broken is a broken victim as its test sees it.
type broken struct {
	t       *testing.T
	disk    *storetest.Disk
	process *exec.Cmd
	ended   chan struct{}

	mu                             sync.Mutex
	requests, events               map[int64]bool // acknowledged
	refusedRequests, refusedEvents int
}

func startBroken(t *testing.T, disk *storetest.Disk, dir string, run int) *broken {
	t.Helper()
	v := &broken{t: t, disk: disk, process: exec.Command(os.Args[0], "-test.run=^TestBrokenVictim$"), ended: make(chan struct{}),
		requests: map[int64]bool{}, events: map[int64]bool{}}
	v.process.Env = append(os.Environ(), brokenPath+"="+filepath.Join(dir, "gatehouse.db"), fmt.Sprint(brokenRun, "=", run))
	v.process.Stderr = os.Stderr
	out, err := v.process.StdoutPipe()
	if err == nil {
		err = disk.Start(v.process)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.kill)
	go v.listen(bufio.NewReader(out))
	return v
}

func (v *broken) listen(from io.Reader) {
	defer close(v.ended)
	for said := [9]byte{}; ; {
		if _, err := io.ReadFull(from, said[:]); err != nil {
			return // killed
		}
		n := int64(binary.LittleEndian.Uint64(said[1:]))
		v.mu.Lock()
		switch said[0] {
		case requestAcknowledged:
			v.requests[n] = true
		case eventsAcknowledged:
			v.events[n] = true
		case requestRefused:
			v.refusedRequests++
		case eventsRefused:
			v.refusedEvents++
		}
		v.mu.Unlock()
	}
}

// await polls with the lock held.
func (v *broken) await(what string, holds func() bool) {
	v.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		v.mu.Lock()
		done := holds()
		v.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("%s: not within a minute; %d requests and %d batches acknowledged, %d and %d refused", what,
				len(v.requests), len(v.events), v.refusedRequests, v.refusedEvents)
		}
	}
}

// acknowledged and refused are the fewer of requests and batches of events.
func (v *broken) acknowledged() int { return min(len(v.requests), len(v.events)) }
func (v *broken) refused() int      { return min(v.refusedRequests, v.refusedEvents) }

func (v *broken) kill() {
	v.process.Process.Signal(syscall.SIGKILL)
	<-v.ended
	v.process.Wait() // killed
	v.disk.Wait()
}

// and adds what another one was told.
func (v *broken) and(other *broken) {
	for n := range other.requests {
		v.requests[n] = true
	}
	for n := range other.events {
		v.events[n] = true
	}
}

// survive opens what is left in a folder: it holds, and everything that was
// acknowledged is counted once. Whoever sends the events again is told so.
func (v *broken) survive(dir string) {
	t := v.t
	t.Helper()
	s := openLedger(t, store.Options{Path: filepath.Join(dir, "gatehouse.db")})
	l, e := openMeter(t, metering.Options{Store: s}), openEvents(t, s)
	mustHold(t, s)
	requests, events := map[int64]int{}, map[string]int{} // in how many blocks each is
	eachBlock(t, s, func(b *metering.Block) {
		for _, in := range b.Intents {
			var n int64
			fmt.Sscan(string(b.Series[in.Series].Route), &n)
			requests[n]++
		}
		for _, ev := range b.Events {
			events[ev.ID]++
		}
	})
	lost := 0
	for n := range v.requests {
		lost += 1 - min(1, requests[n])
	}
	for n := range v.events {
		for i := range int64(brokenSize) {
			lost += 1 - min(1, events[fmt.Sprint("e", n+i)])
		}
	}
	doubled := 0
	for _, times := range requests {
		doubled += times - 1
	}
	for _, times := range events {
		doubled += times - 1
	}
	if lost > 0 || doubled > 0 {
		t.Errorf("of %d requests and %d batches acknowledged, %d are lost; %d are doubled", len(v.requests), len(v.events), lost, doubled)
	}
	for n := range v.events {
		if verdicts := record(t, e, brokenEvents(n)...); verdicts[0] != app.EventDuplicate {
			t.Fatalf("an acknowledged event is %s", verdicts[0])
		}
	}
	closeMeter(t, l)
	closeEvents(t, e)
	if got := total(t, s).Requests; got != int64(len(requests)) {
		t.Errorf("%d requests are counted, %d are in blocks", got, len(requests))
	}
	if got := sumOf(t, s, "org_1", "documents"); got != int64(len(events)) {
		t.Errorf("%d events are counted, %d are in blocks", got, len(events))
	}
	mustHold(t, s)
	t.Logf("%d requests and %d events are left", len(requests), len(events))
}

// writeInSteps does what it is told on standard input, and says what became of
// it, until that ends.
func writeInSteps(path string) {
	file, err := os.Create(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for said := bufio.NewScanner(os.Stdin); said.Scan(); {
		var content string
		var at int64
		if n, _ := fmt.Sscanf(said.Text(), "write %s %d", &content, &at); n == 2 {
			_, err = file.WriteAt([]byte(content), at)
		} else {
			err = file.Sync()
		}
		fmt.Println(err)
	}
	os.Exit(0)
}

// stepWriter is a process that does as it is told.
type stepWriter struct {
	in  io.Writer
	out *bufio.Scanner
}

func startWriter(t *testing.T, disk *storetest.Disk, path string) stepWriter {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestADiskKnowsWhatIsDurable$")
	cmd.Env = append(os.Environ(), writerPath+"="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = disk.Start(cmd)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return stepWriter{in, bufio.NewScanner(out)}
}

func (w stepWriter) step(t *testing.T, step string, fails bool) {
	t.Helper()
	fmt.Fprintln(w.in, step)
	if !w.out.Scan() || (w.out.Text() != "<nil>") != fails {
		t.Fatalf("%s: %s", step, w.out.Text())
	}
}
