package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatehouse/store/storetest"
)

// TestABrokenDiskAnswersNothing lets every fsync of the whole program fail
// while requests, paid calls and events come in. None of them is answered as if
// it were counted, as a power failure shows; then it is killed, and the next
// one counts on.
func TestABrokenDiskAnswersNothing(t *testing.T) {
	s := newDiskStage(t)
	p := s.spawn()
	s.storm()
	disk := s.disk
	s.during("fsync fails", p, func() { disk.Break(func(string) bool { return true }) })
	lights := &usageStage{gate: &gate{t: t, terminal: newTerminal(t)}, org: s.org}
	lights.terminal.args = slices.Clone(s.terminal.args)
	lights.terminal.args[1] = t.TempDir()
	disk.PowerFailure(t, lights.terminal.args[1])
	p.signal(syscall.SIGKILL)
	disk.Wait()
	answered, reported, counted := s.answered.Load()+s.paid.Load(), s.events.distinct.Load(), lights.counted()
	if heard := disk.Counts(); counted < answered || lights.meter("documents") < reported || heard.FailedSyncs == 0 {
		t.Errorf("a power failure leaves %d of %d answered requests, %d of %d events; the disk heard of %+v",
			counted, answered, lights.meter("documents"), reported, heard)
	}
	lights.proven()
	t.Logf("%d requests and %d events answered before fsync failed, %d and %d durable; %+v",
		answered, reported, counted, lights.meter("documents"), disk.Counts())
	next := s.spawnServe()
	s.end(next)
}

// TestADiskThatRecoversNeedsNoRestart lets the disk fail for a while, in each
// way that one can.
func TestADiskThatRecoversNeedsNoRestart(t *testing.T) {
	t.Run("fsync fails", func(t *testing.T) {
		s := newDiskStage(t)
		s.forAWhile(func() { s.disk.Break(func(string) bool { return true }) }, func() { s.disk.Break(nil) })
	})
	t.Run("no room", func(t *testing.T) {
		s := newDiskStage(t)
		s.forAWhile(func() { s.disk.Fill(true) }, func() { s.disk.Fill(false) })
		if s.disk.Counts().FailedWrites == 0 {
			t.Error("the disk was not full")
		}
	})
	t.Run("a full file system", func(t *testing.T) {
		s := newDiskStage(t)
		dir := s.terminal.args[1]
		smallFileSystem(t, dir)
		ballast := filepath.Join(dir, "ballast")
		s.forAWhile(func() { fillUp(t, ballast) }, func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// diskStage is a usage stage whose program runs on a disk that can fail, and
// what comes in meanwhile.
type diskStage struct {
	*usageStage
	disk                 *storetest.Disk
	events               reporter
	stop                 atomic.Bool
	all                  sync.WaitGroup
	sent, answered, paid atomic.Int64
}

func newDiskStage(t *testing.T) *diskStage {
	t.Helper()
	s := &diskStage{usageStage: newUsageStage(t, embedded(), "5000")}
	s.give(documentsMeter, "meter", "apply", "-f", "-")
	if err := s.gate.stop(); err != nil {
		t.Fatal(err)
	}
	s.disk = storetest.NewDisk(t, s.terminal.args[1])
	return s
}

// spawn starts the program on the disk.
func (s *diskStage) spawn() *process {
	s.t.Helper()
	p := serve(s.t, command(s.t, append([]string{"serve"}, s.terminal.args...)...), s.disk.Start)
	s.await("the process is ready", s.ready)
	return p
}

func (s *diskStage) ready() bool {
	status, _ := send("GET", s.console+"/readyz", "", "")
	return status == http.StatusOK
}

// storm lets requests, paid calls and events come in until end.
func (s *diskStage) storm() {
	for i := range 3 {
		s.events.report(fmt.Sprintf("w%d", i), s.console, s.ownKey, s.org)
	}
	repeat := func(call func() int, well *atomic.Int64) {
		s.all.Go(func() {
			for !s.stop.Load() {
				s.sent.Add(1)
				if status := call(); status == http.StatusOK {
					well.Add(1)
				} else {
					time.Sleep(10 * time.Millisecond) // it is refused, or killed
				}
			}
		})
	}
	for range 6 {
		repeat(func() int {
			status, _ := send("GET", s.url+"/x", s.orgKey, "")
			return status
		}, &s.answered)
		repeat(func() int {
			status, _ := s.think(s.url, 100)
			return status
		}, &s.paid)
	}
	s.flows("before")
}

// flows waits until more of each kind is answered.
func (s *diskStage) flows(when string) {
	s.t.Helper()
	answered, paid, reported := s.answered.Load(), s.paid.Load(), s.events.distinct.Load()
	s.await("answers "+when, func() bool {
		return s.answered.Load() > answered+30 && s.paid.Load() > paid+30 && s.events.distinct.Load() > reported+100
	})
}

// kinds are calls that must be durable before they are answered.
func (s *diskStage) kinds() map[string]*http.Request {
	kinds := map[string]*http.Request{}
	for kind, of := range map[string][3]string{
		"a request":   {s.url + "/x", s.orgKey, ""},
		"a paid call": {s.url + "/paid/v1/chat/completions", s.ownKey, fmt.Sprintf(`{"model":%q,"max_tokens":5,"messages":[]}`, paidModel)},
		"an event": {s.console + "/v1/events", s.ownKey,
			fmt.Sprintf(`{"specversion":"1.0","id":"refused","source":"refused","type":"refused","subject":%q,"data":{}}`, s.org)},
	} {
		request, _ := http.NewRequest("POST", of[0], strings.NewReader(of[2]))
		request.Header.Set("Authorization", "Bearer "+of[1])
		request.Header.Set("Content-Type", "application/json")
		if kind == "an event" {
			request.Header.Set("Content-Type", "application/cloudevents+json")
		} else if kind == "a paid call" {
			request.Header.Set("X-Gatehouse-Org", s.org)
		}
		kinds[kind] = request
	}
	return kinds
}

// during makes trouble and holds that nothing is answered as if it were
// counted from the first refusal on, that each refusal says so, and that the
// program says so too and lives.
func (s *diskStage) during(what string, p *process, trouble func()) {
	t := s.t
	t.Helper()
	trouble()
	refused := func(kind string) bool { return s.refusal(s.kinds()[kind]) == "" }
	for kind := range s.kinds() {
		s.await(kind+" is refused while "+what, func() bool { return refused(kind) })
	}
	s.await("not ready while "+what, func() bool { return !s.ready() })
	for kind := range s.kinds() {
		for range 20 {
			if wrong := s.refusal(s.kinds()[kind]); wrong != "" {
				t.Errorf("%s while %s: %s", kind, what, wrong)
			}
		}
	}
	if s.ready() {
		t.Errorf("ready while %s", what)
	}
	select {
	case err := <-p.ended:
		t.Fatalf("it ended while %s: %v\n%s", what, err, p.output)
	default:
	}
	if strings.Contains(p.output.String(), "panic") {
		t.Errorf("it panicked while %s:\n%s", what, p.output)
	}
}

// refusal says what is wrong with the answer, which must be the refusal of a
// ledger that cannot write.
func (s *diskStage) refusal(request *http.Request) (wrong string) {
	s.sent.Add(1)
	got, err := noKeepAlive.Do(request)
	if err != nil {
		return err.Error()
	}
	defer got.Body.Close()
	raw, err := io.ReadAll(got.Body)
	if err != nil {
		return err.Error()
	}
	var problem struct{ Code string }
	json.Unmarshal(raw, &problem)
	if got.StatusCode != http.StatusServiceUnavailable || problem.Code != "ledger_unavailable" || got.Header.Get("Retry-After") == "" ||
		got.Header.Get("Content-Type") != "application/problem+json" {
		return fmt.Sprintf("%d %v %s", got.StatusCode, got.Header, raw)
	}
	return ""
}

// forAWhile makes trouble and ends it: the same process answers again.
func (s *diskStage) forAWhile(trouble, relief func()) {
	s.t.Helper()
	p := s.spawn()
	s.storm()
	s.during("the disk fails", p, trouble)
	relief()
	s.await("ready again", s.ready)
	s.flows("afterwards")
	s.end(p)
}

// end ends the storm and, when nothing is open, the process: all is counted.
func (s *diskStage) end(p *process) {
	s.t.Helper()
	s.events.stop.Store(true)
	s.events.all.Wait()
	s.stop.Store(true)
	s.all.Wait()
	s.settled()
	if err := p.signal(syscall.SIGTERM); err != nil {
		s.t.Errorf("exit: %v\n%s", err, p.output)
	}
	s.disk.Wait()
	s.balanced()
}

// counted is how many requests of the organization are counted.
func (s *usageStage) counted() int64 {
	s.t.Helper()
	var usage usageDocument
	s.terminal.do(&usage, "usage", "--org", s.org, "--since", "1d")
	return usage.Rows[0].Requests
}

// balanced holds, while nothing runs, that all that was answered is counted,
// nothing that was not sent, each event once, and that the ledger proves it.
func (s *diskStage) balanced() {
	t := s.t
	t.Helper()
	documents, pages, cost := s.meter("documents"), s.meter("pages"), s.meter("cost")
	if want := s.events.distinct.Load(); documents != want || pages != 3*want {
		t.Errorf("%d documents and %d pages counted of %d events, sent %d times", documents, pages, want, s.events.sent.Load())
	}
	if truth := s.usageStage.paid.cost.Load(); cost < truth {
		t.Errorf("%d micros counted, the paid API was asked for %d", cost, truth)
	}
	answered, counted := s.answered.Load()+s.paid.Load(), s.counted()
	if counted < answered || counted > s.sent.Load() {
		t.Errorf("%d requests are counted, %d answered, %d sent", counted, answered, s.sent.Load())
	}
	t.Logf("%d requests sent, %d answered, %d counted; %d paid calls answered of %d, cost %d counted of truly %d; %d events, counted %d; %+v",
		s.sent.Load(), answered, counted, s.paid.Load(), s.usageStage.paid.calls.Load(), cost, s.usageStage.paid.cost.Load(), s.events.distinct.Load(), documents, s.disk.Counts())
	s.proven()
}

// smallFileSystem puts one over the folder, with what is in it.
func smallFileSystem(t *testing.T, dir string) {
	t.Helper()
	aside := t.TempDir()
	if err := os.CopyFS(aside, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("gatehouse-test", dir, "tmpfs", 0, "size=64m,mode=700"); err != nil {
		t.Skipf("SKIPPED: a small file system needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.CopyFS(dir, os.DirFS(aside)); err != nil {
		t.Fatal(err)
	}
}

// fillUp writes a file until there is no room.
func fillUp(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for part := make([]byte, 4096); ; {
		if _, err := file.Write(part); err != nil {
			return
		}
	}
}
