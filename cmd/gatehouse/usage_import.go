package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
)

// Bounds of one call of an import, below those of the API.
const (
	importEvents   = 1_000
	importBytes    = 8 << 20
	importTries    = 8
	importPatience = time.Minute // of one call
)

// importFlags are what the command line says in words.
type importFlags struct {
	server, keyFile, rejects string
	again                    bool
}

// importSummary is the shape of `usage import --json`; its counts are of this
// run.
type importSummary struct {
	File      string `json:"file"`
	Skipped   int    `json:"skipped"` // by an earlier run
	Sent      int    `json:"sent"`
	Accepted  int    `json:"accepted"`
	Duplicate int    `json:"duplicate"`
	Conflict  int    `json:"conflict"`
	TooOld    int    `json:"too_old"`
	Rejected  int    `json:"rejected"`
	Rejects   string `json:"rejects,omitempty"` // the file that lists what is not counted
}

func (c *cli) usageImport() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE --server URL --key-file FILE",
		Short: "Send events of any age to a server: JSON Lines, CSV or a JSON array",
		Long: "Sends a file's events to POST /v1/events/import. A name that ends in .csv is CSV: its header names the\n" +
			"attributes id, type, source, time, org, key and subject; other columns are the event's data. A name that ends\n" +
			"in .json is one array, such as a batch of CloudEvents. Any other is JSON Lines.\n\n" +
			"How far it came stands in FILE.progress, so an import that was broken off goes on from there. Sending\n" +
			"again is harmless for 35 days: the server counts each event once. What it does not count is listed in\n" +
			"FILE.rejects, and the exit code is then 2.",
		Example: "  gatehouse usage import events.jsonl --server https://gate.example --key-file operator.key\n" +
			"  gatehouse usage import october.csv --server https://gate.example --key-file operator.key --json",
		Args: takes("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.importFile(cmd.Context(), args[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.server, "server", "", "address of the management API (required)")
	flags.StringVar(&f.keyFile, "key-file", "", "file that holds an operator's key with the scope usage:import (required)")
	flags.StringVar(&f.rejects, "rejects", "", "where to list what is not counted (default: FILE.rejects)")
	flags.BoolVar(&f.again, "again", false, "begin anew instead of where an earlier run broke off")
	cmd.MarkFlagRequired("server")
	cmd.MarkFlagRequired("key-file")
	return cmd
}

func (c *cli) importFile(ctx context.Context, path string, f importFlags) (err error) {
	key, err := os.ReadFile(f.keyFile)
	if err != nil {
		return misuse("", "the key file cannot be read: %v", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return misuse("", "the file cannot be read: %v", err)
	}
	defer file.Close()
	if f.rejects == "" {
		f.rejects = path + ".rejects"
	}
	i := &importer{cli: c, server: strings.TrimSuffix(f.server, "/"), key: strings.TrimSpace(string(key)),
		progress: path + ".progress", rejects: f.rejects, sum: importSummary{File: path}}
	if !f.again {
		if i.sum.Skipped, err = readProgress(i.progress); err != nil {
			return err
		}
	}
	if err = keepRejects(i.rejects, i.sum.Skipped); err != nil {
		return err
	}
	if err = i.run(ctx, newEventFile(path, file)); err != nil {
		return err
	}
	if err = os.Remove(i.progress); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return i.report()
}

// importer sends one file.
type importer struct {
	cli                            *cli
	server, key, progress, rejects string
	sum                            importSummary
	batch                          []json.RawMessage
	size                           int
}

// run sends everything; each batch that was answered is noted.
func (i *importer) run(ctx context.Context, from eventFile) error {
	for n := 0; ; n++ {
		raw, err := from.next()
		if errors.Is(err, io.EOF) {
			return i.send(ctx)
		}
		if err != nil {
			return misuse("", "event %d of %s cannot be read: %v", n+1, i.sum.File, err)
		}
		if n < i.sum.Skipped {
			continue
		}
		if len(i.batch) == importEvents || len(i.batch) > 0 && i.size+len(raw) > importBytes {
			if err := i.send(ctx); err != nil {
				return err
			}
		}
		i.batch, i.size = append(i.batch, raw), i.size+len(raw)
	}
}

// importAnswer is what the API answers.
type importAnswer struct {
	Results []struct {
		ID     string           `json:"id"`
		Status app.EventVerdict `json:"status"`
		Reason string           `json:"reason"`
	} `json:"results"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Advice string `json:"advice"`
}

func (i *importer) send(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	body, err := json.Marshal(i.batch)
	if err != nil {
		return err
	}
	answer, err := i.post(ctx, body)
	if err != nil {
		return err
	}
	if len(answer.Results) != len(i.batch) {
		return &app.Error{Kind: app.KindBadGateway, Code: "import_failed", Message: "The server did not answer for each event."}
	}
	if err := i.note(answer); err != nil {
		return err
	}
	i.sum.Sent += len(i.batch)
	i.batch, i.size = i.batch[:0], 0
	i.cli.note("%d events", i.sum.Skipped+i.sum.Sent)
	return writeProgress(i.progress, i.sum.Skipped+i.sum.Sent)
}

// post sends a body until it is answered: who waits for the server or the
// network loses nothing by sending it again.
func (i *importer) post(ctx context.Context, body []byte) (answer importAnswer, err error) {
	wait := 100 * time.Millisecond
	for try := 1; ; try++ {
		answer, err = i.ask(ctx, body)
		known := app.AsError(err)
		if err == nil || try == importTries || known.Kind != app.KindUnavailable {
			return answer, err
		}
		select {
		case <-time.After(max(wait, known.RetryAfter)):
		case <-ctx.Done():
			return answer, err
		}
		wait *= 2
	}
}

func (i *importer) ask(ctx context.Context, body []byte) (answer importAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, importPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.server+"/v1/events/import", bytes.NewReader(body))
	if err != nil {
		return answer, misuse("", "--server: %v", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+i.key)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer, importFailed(app.KindUnavailable, "The server did not answer.", err)
	}
	defer response.Body.Close()
	if err = json.NewDecoder(response.Body).Decode(&answer); err != nil {
		answer.Detail = "The server answered " + response.Status + ", and no JSON."
	}
	switch code := response.StatusCode; {
	case code == http.StatusOK && err == nil:
		return answer, nil
	case code == http.StatusOK || code == http.StatusTooManyRequests || code >= 500:
		failed := importFailed(app.KindUnavailable, answer.Detail, err)
		if seconds, bad := strconv.Atoi(response.Header.Get("Retry-After")); bad == nil {
			failed.RetryAfter = time.Duration(min(seconds, 60)) * time.Second
		}
		return answer, failed
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return answer, importFailed(app.KindForbidden, answer.Detail, err)
	}
	return answer, importFailed(app.KindInvalid, answer.Detail, err)
}

func importFailed(kind app.Kind, message string, err error) *app.Error {
	return &app.Error{Kind: kind, Code: "import_failed", Message: message,
		Advice: "Run the same command again: it goes on where it stopped.", Err: err}
}

// note counts what became of the batch, and lists what is not counted.
func (i *importer) note(answer importAnswer) error {
	var rejects bytes.Buffer
	for n, result := range answer.Results {
		switch result.Status {
		case app.EventAccepted:
			i.sum.Accepted++
			continue
		case app.EventDuplicate:
			i.sum.Duplicate++
			continue
		case app.EventConflict:
			i.sum.Conflict++
		case app.EventTooOld:
			i.sum.TooOld++
		default:
			i.sum.Rejected++
		}
		line, err := json.Marshal(map[string]any{"number": i.sum.Skipped + i.sum.Sent + n + 1, "status": result.Status,
			"reason": result.Reason, "event": i.batch[n]})
		if err != nil {
			return err
		}
		rejects.Write(append(line, '\n'))
	}
	if rejects.Len() == 0 {
		return nil
	}
	i.sum.Rejects = i.rejects
	file, err := os.OpenFile(i.rejects, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(rejects.Bytes())
	return errors.Join(err, file.Close())
}

func (i *importer) report() error {
	s := i.sum
	if err := i.cli.show(s, func(t *table) {
		t.row("SENT", "ACCEPTED", "DUPLICATE", "CONFLICT", "TOO OLD", "REJECTED")
		t.row(strconv.Itoa(s.Sent), strconv.Itoa(s.Accepted), strconv.Itoa(s.Duplicate), strconv.Itoa(s.Conflict), strconv.Itoa(s.TooOld), strconv.Itoa(s.Rejected))
	}); err != nil {
		return err
	}
	if n := s.Conflict + s.TooOld + s.Rejected; n > 0 {
		return &app.Error{Kind: app.KindInvalid, Code: "event_rejected", Message: fmt.Sprintf("%d events are not counted.", n),
			Advice: "Correct those in " + i.rejects + " and import them again."}
	}
	return nil
}
