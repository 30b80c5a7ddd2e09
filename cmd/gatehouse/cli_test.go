package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// terminal runs command lines on one data directory, as a person would.
type terminal struct {
	t    *testing.T
	args []string // added to every command line
	env  []string
	tty  bool
}

func newTerminal(t *testing.T) *terminal {
	return &terminal{t: t, args: []string{"--data-dir", filepath.Join(t.TempDir(), "data")}}
}

// run returns the exit code and what was written; stdin is one text.
func (x *terminal) run(stdin string, args ...string) (code int, out, err string) {
	x.t.Helper()
	var stdout, stderr bytes.Buffer
	c := &cli{in: strings.NewReader(stdin), out: &stdout, err: &stderr, env: x.env, now: time.Now, interactive: x.tty}
	code = c.run(x.t.Context(), append(args, x.args...))
	return code, stdout.String(), stderr.String()
}

// do runs a command line that must work, and reads its JSON into to.
func (x *terminal) do(to any, args ...string) {
	x.t.Helper()
	code, out, errs := x.run("", append(args, "--json")...)
	if code != exitOK {
		x.t.Fatalf("%v: exit %d: %s", args, code, errs)
	}
	if to != nil {
		if err := json.Unmarshal([]byte(out), to); err != nil {
			x.t.Fatalf("%v: %v in %q", args, err, out)
		}
	}
}

// refused runs a command line that must fail with the code and name the text.
func (x *terminal) refused(want int, text string, args ...string) {
	x.t.Helper()
	code, out, errs := x.run("", args...)
	if code != want || !strings.Contains(errs, text) {
		x.t.Errorf("%v: exit %d, want %d; lacks %q in:\n%s%s", args, code, want, text, out, errs)
	}
}

type shownOrg struct{ ID, Slug, Name, Status, Plan, Reason, Upstream string }

func TestOrganizationsByCommandLine(t *testing.T) {
	x := newTerminal(t)
	x.refused(exitNotFound, "There is no installation", "org", "list")

	var org shownOrg
	x.do(&org, "org", "create", "Acme Inc", "--plan", "pro")
	if !strings.HasPrefix(org.ID, "org_") || org.Slug != "acme-inc" || org.Plan != "pro" || org.Status != "active" {
		t.Fatalf("created %+v", org)
	}
	var second shownOrg
	x.do(&second, "org", "create", "Acme Inc")
	if second.Slug != "acme-inc-2" || second.Plan != "free" {
		t.Errorf("the second is %+v", second)
	}
	x.do(&org, "org", "suspend", "acme-inc", "--reason", "unpaid")
	if org.Status != "suspended" || org.Reason != "unpaid" {
		t.Errorf("suspended %+v", org)
	}
	x.do(&org, "org", "resume", org.ID)
	x.do(&org, "org", "update", "acme-inc", "--plan", "starter", "--name", "Acme")
	if org.Status != "active" || org.Plan != "starter" || org.Name != "Acme" || org.Slug != "acme-inc" {
		t.Errorf("updated %+v", org)
	}
	var list struct {
		Items []shownOrg
		Next  string
	}
	x.do(&list, "org", "list", "--limit", "1")
	if len(list.Items) != 1 || list.Items[0].Slug != "acme-inc-2" || list.Next == "" {
		t.Fatalf("first page %+v", list)
	}
	cursor := list.Next
	list.Next = ""
	x.do(&list, "org", "list", "--limit", "1", "--cursor", cursor)
	if len(list.Items) != 1 || list.Items[0].Slug != "acme-inc" || list.Next != "" {
		t.Errorf("second page %+v", list)
	}
	x.do(nil, "org", "delete", "acme-inc-2", "--yes")
	x.refused(exitNotFound, "no such organization", "org", "show", "acme-inc-2")
}

func TestWrongCommandLinesAreExplained(t *testing.T) {
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme")
	for _, c := range []struct {
		code int
		text string
		args []string
	}{
		{exitInvalid, "no command \"orgs\"", []string{"orgs"}},
		{exitInvalid, "did you mean create?", []string{"org", "creat"}},
		{exitInvalid, "NAME is missing", []string{"org", "create"}},
		{exitInvalid, "too many", []string{"org", "create", "A", "B"}},
		{exitInvalid, "unknown flag: --plam", []string{"org", "create", "A", "--plam", "pro"}},
		{exitInvalid, "plan", []string{"org", "create", "A", "--plan", "gold"}},
		{exitConflict, "acme", []string{"org", "create", "A", "--slug", "acme"}},
		{exitInvalid, "name", []string{"org", "create", ""}},
		{exitInvalid, "nothing to change", []string{"org", "update", "acme"}},
		{exitNotFound, "no such organization", []string{"key", "create", "--org", "nobody", "--name", "x"}},
		{exitInvalid, "--org, or give --operator", []string{"key", "list"}},
		{exitInvalid, "operator", []string{"key", "list", "--org", "acme", "--operator"}},
		{exitInvalid, "--cidr", []string{"key", "create", "--org", "acme", "--name", "x", "--cidr", "10.0.0.0/99"}},
		{exitInvalid, "--expires", []string{"key", "create", "--org", "acme", "--name", "x", "--expires", "someday"}},
		{exitInvalid, "--rate-limit", []string{"key", "create", "--org", "acme", "--name", "x", "--rate-limit", "many"}},
		{exitInvalid, "scopes[0]", []string{"key", "create", "--org", "acme", "--name", "x", "--scope", "A B"}},
		{exitInvalid, "file", []string{"plan", "apply"}},
		{exitNotFound, "cannot be read", []string{"plan", "apply", "-f", "nowhere.yaml"}},
		{exitInvalid, "--since", []string{"usage", "--since", "yesterday"}},
		{exitInvalid, "did you mean log.level?", []string{"org", "list", "--set", "log.levl=x"}},
		{exitInvalid, "KEY=VALUE", []string{"org", "list", "--set", "log.level"}},
		{exitRefused, "--yes", []string{"org", "delete", "acme"}},
	} {
		x.refused(c.code, c.text, c.args...)
	}
}

func TestErrorsAreJSONWhenAsked(t *testing.T) {
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme")
	code, out, errs := x.run("", "org", "show", "nobody", "--json")
	var f failure
	if err := json.Unmarshal([]byte(errs), &f); err != nil || out != "" {
		t.Fatalf("%v: %q, %q", err, errs, out)
	}
	if code != exitNotFound || f.Error.Code != "not_found" || f.Error.Advice == "" {
		t.Errorf("exit %d, %+v", code, f)
	}
}

func TestDestructiveCommandsAskForTheName(t *testing.T) {
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme")
	x.tty = true
	if code, _, _ := x.run("no\n", "org", "delete", "acme"); code != exitRefused {
		t.Errorf("a wrong name: exit %d", code)
	}
	if code, _, _ := x.run("", "org", "delete", "acme"); code != exitRefused {
		t.Errorf("no answer: exit %d", code)
	}
	x.do(nil, "org", "show", "acme")
	if code, _, errs := x.run("acme\n", "org", "delete", "acme"); code != exitOK {
		t.Errorf("the name: exit %d: %s", code, errs)
	}
	x.refused(exitNotFound, "no such organization", "org", "show", "acme")
}

type mintedKey struct {
	ID, Name, Key, Hint, State string
	Scopes, CIDRs              []string
	ExpiresAt                  time.Time `json:"expires_at"`
	RateLimits                 []struct {
		Requests, Burst int64
		Window          string
	} `json:"rate_limits"`
}

func TestKeysByCommandLine(t *testing.T) {
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme")
	var key mintedKey
	x.do(&key, "key", "create", "--org", "acme", "--name", "ci", "--scope", "files:read,files:write", "--cidr", "192.0.2.0/24",
		"--expires", "90d", "--rate-limit", "burst=20,100/1m")
	if !strings.HasPrefix(key.Key, "gk_live_") || len(key.Scopes) != 2 || len(key.CIDRs) != 1 || len(key.RateLimits) != 1 {
		t.Fatalf("minted %+v", key)
	}
	if left := time.Until(key.ExpiresAt); left < 89*24*time.Hour || left > 90*24*time.Hour {
		t.Errorf("it ends in %v", left)
	}
	var next mintedKey
	x.do(&next, "key", "rotate", key.ID, "--org", "acme", "--grace", "1h")
	if next.Key == key.Key || next.Name != "ci" {
		t.Errorf("rotated to %+v", next)
	}
	x.do(nil, "key", "revoke", next.ID, "--org", "acme", "--yes")
	code, out, _ := x.run("", "key", "list", "--org", "acme", "--json")
	var list struct{ Items []mintedKey }
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != exitOK || len(list.Items) != 2 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	states := map[string]string{}
	for _, k := range list.Items {
		states[k.ID] = k.State
	}
	if states[key.ID] != "rotated" || states[next.ID] != "revoked" {
		t.Errorf("states are %v", states)
	}
	if strings.Contains(out, key.Key) || strings.Contains(out, next.Key) {
		t.Error("the list shows a secret")
	}
	x.refused(exitConflict, "", "key", "rotate", next.ID, "--org", "acme")
}

func TestOperatorKeysByCommandLine(t *testing.T) {
	x := newTerminal(t)
	var key mintedKey
	x.do(&key, "key", "create", "--operator", "--name", "terraform")
	if !strings.HasPrefix(key.Key, "ga_live_") || len(key.Scopes) != 1 || key.Scopes[0] != "*" {
		t.Errorf("minted %+v", key)
	}
	var list struct{ Items []mintedKey }
	x.do(&list, "key", "list", "--operator")
	if len(list.Items) != 1 || list.Items[0].ID != key.ID {
		t.Errorf("listed %+v", list)
	}
}

func TestPlansAndRoutesAreApplied(t *testing.T) {
	x := newTerminal(t)
	file := filepath.Join(t.TempDir(), "routes.yaml")
	text := `upstreams:
  - {name: app, addresses: ["http://127.0.0.1:3000"]}
---
routes:
  - {name: api, path_prefix: /v1, upstream: app, scopes: [files:read]}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	type applied struct{ Created, Updated, Unchanged, Removed []string }
	var routing struct{ Upstreams, Routes applied }
	x.do(&routing, "route", "apply", "-f", file)
	if len(routing.Upstreams.Created) != 1 || len(routing.Routes.Created) != 1 {
		t.Fatalf("applied %+v", routing)
	}
	routing.Routes = applied{}
	x.do(&routing, "route", "apply", "-f", file)
	if len(routing.Routes.Unchanged) != 1 || len(routing.Routes.Created) != 0 {
		t.Errorf("again %+v", routing)
	}
	// What a list prints is what apply reads.
	for _, noun := range []string{"route", "plan"} {
		_, out, _ := x.run("", noun, "list", "--json")
		code, again, errs := x.run(out, noun, "apply", "-f", "-", "--json")
		if code != exitOK || strings.Contains(again, "created") || strings.Contains(again, "updated") {
			t.Errorf("%s: exit %d: %s%s", noun, code, again, errs)
		}
	}
	var plans planFile
	x.do(&plans, "plan", "list")
	if len(plans.Plans) != 4 {
		t.Errorf("%d plans", len(plans.Plans))
	}
	x.refused(exitNotFound, "", "plan", "delete", "gold", "--yes")
}

func TestUsageOfNothingIsZero(t *testing.T) {
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme")
	var usage usageDocument
	x.do(&usage, "usage", "--org", "acme", "--since", "1d")
	if len(usage.Rows) != 1 || usage.Rows[0].Requests != 0 || usage.Org == "" {
		t.Errorf("usage %+v", usage)
	}
}

func TestRootLeavesAnotherUsersInstallationAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can give a file away")
	}
	x := newTerminal(t)
	x.do(nil, "org", "create", "Acme")
	if err := os.Chown(filepath.Join(x.args[1], storeName), 1234, 1234); err != nil {
		t.Fatal(err)
	}
	x.refused(exitRefused, "belongs to another user", "org", "list")
}

func TestInitWritesWhatServeReads(t *testing.T) {
	x := newTerminal(t)
	dir := x.args[1]
	var done initDocument
	x.do(&done, "init", "--upstream", "http://127.0.0.1:3000")
	for _, file := range []string{done.ConfigFile, done.KeyFile} {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	if done.DataDir != dir {
		t.Errorf("made %s", done.DataDir)
	}
	x.refused(exitConflict, "--force", "init")
	x.do(nil, "init", "--force")
	x.do(nil, "config", "check")
	var printed configDocument
	x.do(&printed, "config", "print")
	if printed.File != done.ConfigFile {
		t.Errorf("read %q", printed.File)
	}
}

func TestTheGeneratedKeyStays(t *testing.T) {
	config := &Config{DataDir: t.TempDir()}
	first, err := installationKey(config)
	if err != nil || len(first) != 32 {
		t.Fatal(first, err)
	}
	second, err := installationKey(config)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("%x then %x, %v", first, second, err)
	}
	if err := os.WriteFile(config.Path(encryptionKeyName), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := installationKey(config); err == nil {
		t.Error("a damaged key file was accepted")
	}
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	x := newTerminal(t)
	ports := []string{"--set", "gateway.addr=127.0.0.1:0", "--set", "console.addr=127.0.0.1:0", "--set", "console.host=console.test"}
	var d diagnosis
	x.do(&d, append([]string{"doctor"}, ports...)...)
	if !d.OK || len(d.Checks) < 6 {
		t.Errorf("a new directory: %+v", d)
	}
	x.do(nil, "org", "create", "Acme")
	code, out, _ := x.run("", append([]string{"doctor", "--json", "--set", "upstream=http://127.0.0.1:1",
		"--set", "redis.url=redis://127.0.0.1:1"}, ports...)...)
	json.Unmarshal([]byte(out), &d)
	failed := map[string]bool{}
	for _, f := range d.Checks {
		failed[f.Name] = f.Status == findingFail
		if f.Status != findingOK && f.Advice == "" {
			t.Errorf("%s gives no advice", f.Name)
		}
	}
	if code != exitUnavailable || !failed["upstream"] || !failed["redis"] || failed["database"] {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	c := &cli{out: &bytes.Buffer{}, err: &bytes.Buffer{}, now: time.Now}
	for _, group := range c.root().Commands() {
		commands := group.Commands()
		if len(commands) == 0 {
			commands = append(commands, group)
		}
		for _, cmd := range commands {
			if cmd.Short == "" || cmd.Example == "" && !cmd.Hidden && cmd.Name() != "version" {
				t.Errorf("%s: needs a short help and an example", cmd.CommandPath())
			}
		}
	}
}

func TestManualPagesAreWritten(t *testing.T) {
	dir := t.TempDir()
	x := &terminal{t: t}
	if code, _, errs := x.run("", "man", dir); code != exitOK {
		t.Fatal(errs)
	}
	page, err := os.ReadFile(filepath.Join(dir, "gatehouse-org-create.1"))
	if err != nil || !bytes.Contains(page, []byte("Acme Inc")) {
		t.Errorf("%v: %s", err, page)
	}
}
