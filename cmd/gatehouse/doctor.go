package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
)

// finding is what one check of doctor saw.
type finding struct {
	Name    string `json:"name"`
	Status  string `json:"status"` // ok, warn or fail
	Message string `json:"message"`
	Advice  string `json:"advice,omitempty"`
}

// Statuses of a finding.
const (
	findingOK   = "ok"
	findingWarn = "warn" // it runs, but somebody should look
	findingFail = "fail" // it does not, or will not, run
)

// diagnosis is the shape of `doctor --json`.
type diagnosis struct {
	OK     bool      `json:"ok"` // nothing failed
	Checks []finding `json:"checks"`
}

func (d *diagnosis) add(name, status, advice, format string, args ...any) {
	d.OK = d.OK && status != findingFail
	d.Checks = append(d.Checks, finding{name, status, fmt.Sprintf(format, args...), advice})
}

// patient is what doctor looks at.
type patient struct {
	*diagnosis
	ctx    context.Context
	config *Config
	now    func() time.Time
	http   *http.Client
}

func (c *cli) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check data directory, database, Redis, clock, ports and upstreams, and say what to do",
		Long: "Checks everything that a running gate needs, and says what to do about what it finds.\n" +
			"Exit code 0 when nothing failed, 6 otherwise. It works while the server runs.",
		Example: "  gatehouse doctor\n  gatehouse doctor --json --data-dir /var/lib/gatehouse",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &diagnosis{OK: true, Checks: []finding{}}
			config, err := c.load(cmd)
			if err != nil {
				d.wrongConfig(err)
			} else {
				d.add("configuration", findingOK, "", "valid (%s)", orDefault(config.File, "no file"))
				p := &patient{d, cmd.Context(), config, c.now, &http.Client{Timeout: 5 * time.Second}}
				p.examine()
			}
			return c.showDiagnosis(d)
		},
	}
}

func (p *patient) examine() {
	p.dataDir()
	p.encryptionKey()
	p.certificates()
	p.database()
	p.redis()
	p.clock()
	p.listeners()
	p.upstreams()
}

func (d *diagnosis) wrongConfig(err error) {
	known := app.AsError(err)
	for _, f := range known.Fields {
		d.add("configuration", findingFail, known.Advice, "%s: %s", f.Field, f.Message)
	}
	if len(known.Fields) == 0 {
		d.add("configuration", findingFail, known.Advice, "%s", known.Message)
	}
}

func (c *cli) showDiagnosis(d *diagnosis) error {
	err := c.show(d, func(t *table) {
		for _, f := range d.Checks {
			t.row(strings.ToUpper(f.Status), f.Name, f.Message)
			if f.Advice != "" && f.Status != findingOK {
				t.row("", "", "→ "+f.Advice)
			}
		}
	})
	if err != nil || d.OK {
		return err
	}
	return &app.Error{Kind: app.KindUnavailable, Code: "doctor_failed", Message: "At least one check failed.",
		Advice: "Follow the advice beside each FAIL, then run `gatehouse doctor` again."}
}

// ask fetches a page and returns its status and the beginning of its body.
func (p *patient) ask(url string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(p.ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := p.http.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	return answer.StatusCode, string(raw), err
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
