package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// importServer answers as the API does: known ids are duplicates, "bad" ones
// rejected.
type importServer struct {
	t     *testing.T
	known map[string]int
	away  int // calls to refuse; negative: all after so many
	calls int
}

func (s *importServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/events/import" || r.Header.Get("Authorization") != "Bearer ga_live_x" {
		w.WriteHeader(http.StatusForbidden)
		w.Write([]byte(`{"detail":"No."}`))
		return
	}
	if s.calls++; s.calls <= s.away {
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte(`{"detail":"Later."}`))
		return
	}
	var events []struct {
		ID   string
		Data map[string]any
	}
	if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
		s.t.Error(err)
	}
	results := []map[string]string{}
	for _, e := range events {
		status := "accepted"
		if strings.HasPrefix(e.ID, "bad") {
			status = "rejected"
		} else if s.known[e.ID]++; s.known[e.ID] > 1 {
			status = "duplicate"
		}
		if e.Data["pages"] == nil {
			s.t.Errorf("event %s has no data", e.ID)
		}
		results = append(results, map[string]string{"id": e.ID, "status": status})
	}
	json.NewEncoder(w).Encode(map[string]any{"results": results})
}

// importing prepares a server and files; it returns a command line's words.
func importing(t *testing.T, s *importServer, name, content string) (x *terminal, file string, words []string) {
	t.Helper()
	s.t, s.known = t, map[string]int{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	file, key := filepath.Join(dir, name), filepath.Join(dir, "key")
	for path, text := range map[string]string{file: content, key: "ga_live_x\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newTerminal(t), file, []string{"usage", "import", file, "--server", server.URL, "--key-file", key}
}

func TestImportReadsEachForm(t *testing.T) {
	for name, content := range map[string]string{
		"a.jsonl": "{\"id\":\"1\",\"type\":\"t\",\"data\":{\"pages\":1}}\n{\"id\":\"2\",\"type\":\"t\",\"data\":{\"pages\":2}}\n",
		"a.json":  `[{"id":"1","type":"t","data":{"pages":1}},{"id":"2","type":"t","data":{"pages":2}}]`,
		"a.csv":   "id,type,pages\n1,t,1\n2,t,2\n",
	} {
		s := &importServer{away: 1} // the first try is refused, and made again
		x, file, words := importing(t, s, name, content)
		var sum importSummary
		x.do(&sum, words...)
		if sum.Sent != 2 || sum.Accepted != 2 || s.calls != 2 {
			t.Errorf("%s: %+v in %d calls", name, sum, s.calls)
		}
		if _, err := os.Stat(file + ".progress"); err == nil {
			t.Errorf("%s: the progress is left behind", name)
		}
	}
}

func TestImportGoesOnWhereItStopped(t *testing.T) {
	s := &importServer{}
	x, file, words := importing(t, s, "a.jsonl", "{\"id\":\"1\",\"data\":{\"pages\":1}}\n{\"id\":\"2\",\"data\":{\"pages\":1}}\n{\"id\":\"3\",\"da")
	if err := os.WriteFile(file+".progress", []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.refused(exitInvalid, "event 3", words...)
	if err := os.WriteFile(file, []byte("{\"id\":\"1\",\"data\":{\"pages\":1}}\n{\"id\":\"2\",\"data\":{\"pages\":1}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var sum importSummary
	x.do(&sum, words...)
	if sum.Skipped != 1 || sum.Sent != 1 || s.known["1"] != 0 || s.known["2"] != 1 {
		t.Errorf("%+v, the server knows %v", sum, s.known)
	}
}

func TestImportListsWhatIsNotCounted(t *testing.T) {
	x, file, words := importing(t, &importServer{}, "a.jsonl", "{\"id\":\"1\",\"data\":{\"pages\":1}}\n{\"id\":\"bad\",\"data\":{\"pages\":1}}\n")
	x.refused(exitInvalid, "1 events are not counted", words...)
	raw, err := os.ReadFile(file + ".rejects")
	if err != nil || !strings.Contains(string(raw), `"number":2`) || strings.Count(string(raw), "\n") != 1 {
		t.Errorf("rejects %q, %v", raw, err)
	}
}
