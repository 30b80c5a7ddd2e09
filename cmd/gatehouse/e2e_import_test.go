package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// importFile writes 20,000 events of two months ago: some twice, some that no
// meter takes, some with the id of another one. It tells what must be counted.
func importFile(t *testing.T, org string) (path string, documents, pages int64, refused []int) {
	t.Helper()
	var text bytes.Buffer
	begin := time.Now().UTC().Add(-60 * 24 * time.Hour).Truncate(time.Second)
	event := func(id int, org string, pages int) string {
		return fmt.Sprintf(`{"id":"doc-%d","type":"document.created","source":"archive","org":%q,"time":%q,"data":{"pages":%d}}`+"\n",
			id, org, begin.Add(time.Duration(id)*time.Second).Format(time.RFC3339), pages)
	}
	for i := range 20_000 {
		switch {
		case i%10 == 9: // the same as nine lines before
			text.WriteString(event(i-9, org, 3))
		case i%100 == 51:
			text.WriteString(event(i, "nobody", 3))
			refused = append(refused, i+1)
		case i%500 == 78: // another body under the id of a line before
			text.WriteString(event(i-1, org, 4))
			refused = append(refused, i+1)
		default:
			text.WriteString(event(i, org, 3))
			documents, pages = documents+1, pages+3
		}
	}
	path = filepath.Join(t.TempDir(), "archive.jsonl")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, documents, pages, refused
}

// turnstile stands between an import and its server, and lets so many calls
// pass. The next one gets no answer: either it never reaches the server, or
// the server's answer is kept back.
type turnstile struct {
	server   *httptest.Server
	passes   atomic.Int64
	deliver  atomic.Bool   // whether the call without an answer reaches the server
	arrived  chan struct{} // somebody waits in vain
	released chan struct{}
}

func newTurnstile(t *testing.T, to string) *turnstile {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	x := &turnstile{arrived: make(chan struct{}, 10), released: make(chan struct{})}
	proxy := httputil.NewSingleHostReverseProxy(target)
	x.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x.passes.Add(-1) >= 0 {
			proxy.ServeHTTP(w, r)
			return
		}
		if x.deliver.Load() {
			proxy.ServeHTTP(httptest.NewRecorder(), r.WithContext(t.Context()))
		}
		x.arrived <- struct{}{}
		<-x.released
	}))
	t.Cleanup(x.server.Close)
	t.Cleanup(func() { close(x.released) })
	return x
}

// killAfter runs the command, and kills it when so many calls were answered
// and it waits for the next answer.
func (x *turnstile) killAfter(t *testing.T, calls int64, deliver bool, words []string) {
	t.Helper()
	x.deliver.Store(deliver)
	x.passes.Store(calls)
	cmd := command(t, words...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-x.arrived:
	case <-time.After(patience):
		t.Errorf("it waits for nothing:\n%s", &said)
	}
	cmd.Process.Kill()
	cmd.Wait()
}

// TestAnImportThatIsKilledCountsOnce kills `usage import` three times: before
// the server has a call, and when it has one without the command knowing.
func TestAnImportThatIsKilledCountsOnce(t *testing.T) {
	eachGate(t, func(t *testing.T, g *gate) {
		if code, _, errs := g.terminal.run(documentsMeter, "meter", "apply", "-f", "-"); code != exitOK {
			t.Fatal(errs)
		}
		if err := g.stop(); err != nil { // and begins with the meters
			t.Fatal(err)
		}
		g.start()
		org := g.org("pro")
		var key mintedKey
		g.terminal.do(&key, "key", "create", "--operator", "--name", "import", "--scope", "usage:import")
		keyFile := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(keyFile, []byte(key.Key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		file, documents, pages, refused := importFile(t, org)
		x := newTurnstile(t, g.console)
		words := []string{"usage", "import", file, "--server", x.server.URL, "--key-file", keyFile, "--json"}
		x.killAfter(t, 5, false, words)
		x.killAfter(t, 4, true, words)
		x.killAfter(t, 0, true, words)

		x.passes.Store(1000)
		cmd := command(t, words...)
		var said, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &errs
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitInvalid {
			t.Fatalf("some are not counted, but: %v\n%s", err, &errs)
		}
		var sum importSummary
		if err := json.Unmarshal(said.Bytes(), &sum); err != nil || sum.Skipped != 9_000 || sum.Sent != 11_000 {
			t.Errorf("the last run: %+v %v", sum, err)
		}
		for meter, want := range map[string]int64{"documents": documents, "pages": pages} {
			var report struct {
				Rows []struct {
					Value int64 `json:"value"`
				} `json:"rows"`
			}
			g.terminal.do(&report, "usage", "report", "--meter", meter, "--org", org, "--since", "90d")
			if len(report.Rows) != 1 || report.Rows[0].Value != want {
				t.Errorf("%s: %+v counted, want %d", meter, report.Rows, want)
			}
		}
		if got := rejectsOf(t, file+".rejects"); !slices.Equal(got, refused) {
			t.Errorf("%d rejects are listed, want %d: %v", len(got), len(refused), got)
		}
		if _, err := os.Stat(file + ".progress"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the progress is left behind: %v", err)
		}
		// The same file once more: nothing new, and the list is the same.
		g.terminal.run("", words...)
		if got := rejectsOf(t, file+".rejects"); !slices.Equal(got, refused) {
			t.Errorf("imported again: %d rejects are listed, want %d", len(got), len(refused))
		}
		if err := g.stop(); err != nil {
			t.Error(err)
		}
		if code, out, errs := g.terminal.run("", "usage", "verify", "--json"); code != exitOK {
			t.Errorf("usage verify: exit %d\n%s\n%s", code, out, errs)
		}
	})
}

// rejectsOf are the numbers of the lines that a list of rejects holds.
func rejectsOf(t *testing.T, path string) (numbers []int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var reject struct {
			Number         int
			Status, Reason string
			Event          struct{ ID string }
		}
		if err := json.Unmarshal([]byte(line), &reject); err != nil || reject.Reason == "" || reject.Event.ID == "" {
			t.Fatalf("%v: %s", err, line)
		}
		numbers = append(numbers, reject.Number)
	}
	return numbers
}
