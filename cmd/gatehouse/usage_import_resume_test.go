package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestAnImportListsARejectOnce goes on after a run that was killed when it had
// listed what the server said, and had not yet noted how far it came.
func TestAnImportListsARejectOnce(t *testing.T) {
	content := strings.Repeat(`{"id":"bad","data":{"pages":1}}`+"\n", 4)
	x, file, words := importing(t, &importServer{}, "a.jsonl", content)
	reject := func(n string) string { return `{"number":` + n + `,"reason":"r","event":{"id":"bad"}}` + "\n" }
	for path, text := range map[string]string{file + ".progress": "2\n", file + ".rejects": reject("1") + reject("2") + reject("3") + `{"numb`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x.refused(exitInvalid, "2 events are not counted", words...)
	if got := numbersIn(t, file+".rejects"); !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("listed %v", got)
	}
	x.refused(exitInvalid, "4 events are not counted", words...) // a run of its own, with a list of its own
	if got := numbersIn(t, file+".rejects"); !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("listed %v when all is sent again", got)
	}
	if err := os.WriteFile(file, []byte(`{"id":"1","data":{"pages":1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	x.do(nil, words...)
	if _, err := os.Stat(file + ".rejects"); err == nil {
		t.Error("a list of rejects is left beside a file without any")
	}
	if err := os.WriteFile(file+".rejects", []byte("a letter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.refused(exitInvalid, "something else", words...)
	if raw, err := os.ReadFile(file + ".rejects"); err != nil || string(raw) != "a letter\n" {
		t.Errorf("somebody's file holds %q now, %v", raw, err)
	}
}

func numbersIn(t *testing.T, path string) (numbers []int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var reject struct{ Number int }
		if err := json.Unmarshal([]byte(line), &reject); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		numbers = append(numbers, reject.Number)
	}
	return numbers
}
