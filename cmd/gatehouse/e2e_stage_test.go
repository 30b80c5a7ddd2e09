package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/store/storetest"
)

// runAsGatehouse makes the test's binary be gatehouse, for tests that need a
// process of its own: one that is killed, or that hears signals.
const runAsGatehouse = "RUN_AS_GATEHOUSE"

func TestMain(m *testing.M) {
	if os.Getenv(runAsGatehouse) != "" {
		main()
		return
	}
	storetest.Main(m)
}

// engine is what an installation stands on.
type engine struct {
	name     string
	settings []string // key=value
}

// eachEngine runs a test on SQLite with the Redis inside the process, and on
// PostgreSQL with a real Redis.
func eachEngine(t *testing.T, test func(t *testing.T, e engine)) {
	t.Run("SQLite", func(t *testing.T) { test(t, embedded()) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, clustered(t)) })
}

func embedded() engine { return engine{name: "SQLite"} }

func clustered(t *testing.T) engine {
	return engine{"PostgreSQL", []string{"database.url=" + storetest.Postgres(t), "redis.url=redis://" + storetest.Redis(t),
		"encryption_key=" + strings.Repeat("5a", 32)}}
}

// eachGate runs a test on a running gate of every engine.
func eachGate(t *testing.T, test func(t *testing.T, g *gate)) {
	eachEngine(t, func(t *testing.T, e engine) { test(t, newGate(t, e)) })
}

// gate is a running program with an app behind it, and a terminal on the same
// installation.
type gate struct {
	t        *testing.T
	terminal *terminal
	url      string // of the gateway
	console  string // of the console and the API
	app      *httptest.Server
	program  *Program
	stop     func() error // drains and returns what Run returned
}

// newGate starts a gate on free ports. settings are key=value and win.
func newGate(t *testing.T, e engine, settings ...string) *gate {
	t.Helper()
	app := httptest.NewUnstartedServer(sampleApp())
	app.Config.Protocols = new(http.Protocols)
	app.Config.Protocols.SetHTTP1(true)
	app.Config.Protocols.SetUnencryptedHTTP2(true)
	app.Start()
	t.Cleanup(app.Close)
	g := &gate{t: t, app: app, terminal: newTerminal(t)}
	all := append([]string{"gateway.addr=" + freePort(t), "console.addr=" + freePort(t), "upstream=" + app.URL, "log.level=warn",
		"gateway.trusted_proxies=127.0.0.0/8", "limits.address.requests=10000"}, append(e.settings, settings...)...)
	for _, pair := range all {
		g.terminal.args = append(g.terminal.args, "--set", pair)
	}
	g.start()
	return g
}

// config reads what the terminal would read.
func (g *gate) config() *Config {
	g.t.Helper()
	from := sources{}
	for i := 0; i+1 < len(g.terminal.args); i += 2 {
		key, word, _ := strings.Cut(g.terminal.args[i+1], "=")
		if g.terminal.args[i] == "--data-dir" {
			key, word = "data_dir", g.terminal.args[i+1]
		}
		from.Flags = append(from.Flags, flagValue{key, "test", word})
	}
	config, err := loadConfig(from)
	if err != nil {
		g.t.Fatal(err)
	}
	return config
}

// start runs the program inside the test's process.
func (g *gate) start() {
	g.t.Helper()
	config := g.config()
	g.url, g.console = config.gatewayURL(), config.consoleURL()
	log := slog.New(slog.NewTextHandler(testWriter{g.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	program, err := Open(g.t.Context(), config, programOptions{Log: log, Now: time.Now})
	if err != nil {
		g.t.Fatal(err)
	}
	g.program = program
	ctx, cancel := context.WithCancel(context.WithoutCancel(g.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- program.Run(ctx, context.WithoutCancel(ctx)) }()
	stopped := false
	g.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-ended
		if closed := program.Close(); err == nil {
			err = closed
		}
		return err
	}
	g.t.Cleanup(func() {
		if err := g.stop(); err != nil {
			g.t.Errorf("stop: %v", err)
		}
	})
	g.await("ready", func() bool {
		answer, err := http.Get(g.console + "/readyz")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(line []byte) (int, error) {
	fmt.Fprintf(os.Stderr, "%s: %s", w.t.Name(), line)
	return len(line), nil
}

// freePort returns a loopback address on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + port
}

// patience bounds every wait; only a failure takes so long. On PostgreSQL what
// a dead process left is settled after 25 seconds (metering.DefaultDeadAfter,
// DefaultTakeOver) and what that takes, on a machine that is busy.
const patience = 2 * time.Minute

// await polls until the condition holds.
func (g *gate) await(what string, holds func() bool) {
	g.t.Helper()
	awaitThat(g.t, what, holds)
}

func awaitThat(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("%s: not within %v", what, patience)
}

// org creates an organization and returns its slug.
func (g *gate) org(plan string) string {
	g.t.Helper()
	var org shownOrg
	g.terminal.do(&org, "org", "create", "Org of "+g.t.Name(), "--plan", plan)
	return org.Slug
}

// key creates a key of the organization and waits until the gate knows it.
func (g *gate) key(org string, flags ...string) mintedKey {
	g.t.Helper()
	var key mintedKey
	g.terminal.do(&key, append([]string{"key", "create", "--org", org, "--name", "test"}, flags...)...)
	return key
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// problem is the refusal that an answer holds.
func (a answer) problem() (p struct{ Code, Detail string }) {
	json.Unmarshal([]byte(a.body), &p)
	return p
}

// get asks the gateway with a key; more are header lines, "Name: value".
func (g *gate) get(path, key string, more ...string) answer {
	g.t.Helper()
	return ask(g.t, "GET", g.url+path, "", append(more, "Authorization: Bearer "+key)...)
}

func ask(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	got, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	raw, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, string(raw)}
}

// routes applies routes to the sample app, by YAML below "routes:".
func (g *gate) routes(text string) {
	g.t.Helper()
	file := filepath.Join(g.t.TempDir(), "routes.yaml")
	text = "upstreams:\n- {name: app, addresses: [" + g.app.URL + "]}\n- {name: grpc, addresses: [" + g.app.URL + "], protocol: h2c}\nroutes:\n" + text
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	g.terminal.do(nil, "route", "apply", "-f", file, "--prune")
}

// sampleApp tells what it was asked; /stream sends a first event and waits
// until the client has gone; /socket echoes; /slow waits until released.
func sampleApp() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"path": r.URL.Path, "method": r.Method, "header": r.Header, "body": string(body)})
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	})
	return mux
}

// seen is what the sample app answers.
type seen struct {
	Path, Method, Body string
	Header             http.Header
}

func (a answer) seen(t *testing.T) (s seen) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return s
}

// command is gatehouse as a process of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "GATEHOUSE_") { // what is set for the test is no configuration
			cmd.Env = append(cmd.Env, pair)
		}
	}
	cmd.Env = append(cmd.Env, runAsGatehouse+"=1")
	return cmd
}
