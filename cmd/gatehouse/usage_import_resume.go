package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
)

// readProgress reads how many events an earlier run was answered.
func readProgress(path string) (int, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	n := 0
	if err == nil {
		n, err = strconv.Atoi(strings.TrimSpace(string(raw)))
	}
	if err != nil || n < 0 {
		return 0, misuse("Add --again to begin anew.", "%s does not tell how far an import came", path)
	}
	return n, nil
}

// writeProgress notes how many events were answered.
func writeProgress(path string, events int) error {
	return replaceFile(path, []byte(strconv.Itoa(events)+"\n"))
}

// keepRejects keeps of a list of rejects those of the first events alone. A run
// that was broken off may have listed some that are now sent, and listed,
// again; and a new run has a list of its own.
func keepRejects(path string, events int) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept bytes.Buffer
	for line := range bytes.Lines(raw) {
		var reject struct{ Number int }
		switch err := json.Unmarshal(line, &reject); {
		case !bytes.HasSuffix(line, []byte("\n")): // it was cut
		case err != nil || reject.Number < 1:
			return misuse("Name another with --rejects.", "%s holds something else than rejects", path)
		case reject.Number <= events:
			kept.Write(line)
		}
	}
	if kept.Len() == 0 {
		return os.Remove(path)
	}
	return replaceFile(path, kept.Bytes())
}

// replaceFile writes a file beside itself first, so that it is never half.
func replaceFile(path string, content []byte) error {
	whole := path + ".new"
	if err := os.WriteFile(whole, content, 0o600); err != nil {
		return err
	}
	return os.Rename(whole, path)
}
