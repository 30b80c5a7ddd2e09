package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/embed/demo"
	"gatehouse/web/ui"
)

// demoDocument is the one line of `demo --json`.
type demoDocument struct {
	GatewayURL  string `json:"gateway_url"`
	ConsoleURL  string `json:"console_url"`
	SignInURL   string `json:"sign_in_url"`   // works once
	APIKey      string `json:"api_key"`       // of an organization, for the gateway
	AdminAPIKey string `json:"admin_api_key"` // of the operator, for the management API
	DataDir     string `json:"data_dir"`      // removed at the end
}

func (c *cli) demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run everything with a sample app, customers and traffic, in a temporary folder",
		Long: "Starts a sample app, the gate in front of it, organizations on every plan, and clients of different\n" +
			"shapes: steady, bursty, over their limit, and a stranger with invented keys. Agents of the app call a\n" +
			"stand-in for paid models, so that budgets fill up. Everything that the\n" +
			"console shows was really requested. Ctrl-C ends it and removes the folder.",
		Example: "  gatehouse demo\n  gatehouse demo --json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, _, release := untilSignal(cmd.Context())
			defer release()
			return c.demo(ctx, cmd)
		},
	}
	cmd.Flags().String("gateway-addr", "", "where clients connect (default: 127.0.0.1:8080, or a free port)")
	cmd.Flags().String("console-addr", "", "where the console answers (default: 127.0.0.1:8081, or a free port)")
	markSetting(cmd.Flags(), "gateway-addr", "gateway.addr")
	markSetting(cmd.Flags(), "console-addr", "console.addr")
	return cmd
}

// stage is a running demo.
type stage struct {
	cli     *cli
	program *Program
	sample  *http.Server
	models  *http.Server
	shown   demoDocument
	clients []demo.Client
	agents  demo.Agents
}

func (c *cli) demo(ctx context.Context, cmd *cobra.Command) (err error) {
	dir, err := os.MkdirTemp("", "gatehouse-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &stage{cli: c, shown: demoDocument{DataDir: filepath.Join(dir, "data")}}
	upstream, models, err := s.startUpstreams()
	if err != nil {
		return err
	}
	defer s.sample.Close()
	defer s.models.Close()
	config, err := s.config(cmd)
	if err != nil {
		return err
	}
	log := c.newLogger(config.Log)
	if s.program, err = Open(ctx, config, programOptions{Log: log, Now: c.now}); err != nil {
		return ignoreStop(ctx, err)
	}
	defer func() { err = errors.Join(err, s.program.Close()) }()
	if err := s.furnish(ctx, upstream, models); err != nil {
		return ignoreStop(ctx, err)
	}
	return ignoreStop(ctx, s.play(ctx))
}

// ignoreStop forgets the error that a stopped demo ends with.
func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || app.IsKind(err, app.KindCancelled)) {
		return nil
	}
	return err
}

// startUpstreams starts the sample app and the stand-in for paid models.
func (s *stage) startUpstreams() (sample, models string, err error) {
	if s.sample, sample, err = serveLocally(demo.App()); err != nil {
		return "", "", err
	}
	if s.models, models, err = serveLocally(demo.Models()); err != nil {
		s.sample.Close()
	}
	return sample, models, err
}

// serveLocally serves on a free port of this machine.
func serveLocally(handler http.Handler) (server *http.Server, address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener)
	return server, "http://" + listener.Addr().String(), nil
}

// config is what the demo runs on. The environment has no part in it, so that
// a configured machine shows the same demo; flags have.
func (s *stage) config(cmd *cobra.Command) (*Config, error) {
	given, err := s.cli.sources(cmd)
	if err != nil {
		return nil, err
	}
	from := sources{Flags: []flagValue{
		{"gateway.addr", "demo", freeAddr("127.0.0.1:8080")}, {"console.addr", "demo", freeAddr("127.0.0.1:8081")},
		{"log.level", "demo", "warn"},
		// The clients of the demo name their addresses, like a load balancer would.
		{"gateway.trusted_proxies", "demo", "127.0.0.0/8,::1"},
	}}
	for _, flag := range given.Flags {
		if flag.Key != "data_dir" {
			from.Flags = append(from.Flags, flag)
		}
	}
	from.Flags = append(from.Flags, flagValue{"data_dir", "demo", s.shown.DataDir})
	config, err := loadConfig(from)
	if err == nil {
		s.shown.GatewayURL, s.shown.ConsoleURL = config.gatewayURL(), config.consoleURL()
	}
	return config, err
}

// freeAddr returns the address if nobody listens there, else one with a free port.
func freeAddr(wanted string) string {
	for _, addr := range []string{wanted, "127.0.0.1:0"} {
		if listener, err := net.Listen("tcp", addr); err == nil {
			defer listener.Close()
			return listener.Addr().String()
		}
	}
	return wanted
}

// play runs the program and the traffic until the context ends.
func (s *stage) play(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	sending, quiet := context.WithCancel(ctx)
	ended := make(chan struct{})
	var result error
	go func() {
		result = s.program.Run(running, running)
		quiet() // it may end by itself, too
		close(ended)
	}()
	err := s.awaitReady(sending)
	if err == nil {
		s.show()
		traffic := &demo.Traffic{Gateway: s.shown.GatewayURL, Clients: s.clients, Now: s.cli.now, Seed: 1,
			HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
		s.agents.Gateway, s.agents.Console, s.agents.HTTP, s.agents.Seed = s.shown.GatewayURL, s.shown.ConsoleURL, traffic.HTTP, traffic.Seed
		var working sync.WaitGroup
		working.Go(func() { s.agents.Run(sending) })
		traffic.Run(sending)
		working.Wait()
	}
	stop()
	<-ended
	return errors.Join(err, result)
}

// awaitReady waits until the program says that everything works.
func (s *stage) awaitReady(ctx context.Context) error {
	client := &http.Client{Timeout: 5 * time.Second}
	var last error
	for range 200 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.shown.ConsoleURL+"/readyz", nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/readyz answers %s", answer.Status)
		}
		last = err
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return &app.Error{Kind: app.KindUnavailable, Code: "demo_not_ready", Message: "The demo does not become ready.",
		Advice: "Look at the lines above; `gatehouse demo --set log.level=debug` shows more.", Err: last}
}

// show prints the one line, or the words for people.
func (s *stage) show() {
	if s.cli.json {
		s.cli.line(s.shown)
		return
	}
	curl := "curl -H \"Authorization: Bearer "
	s.cli.say("%s", strings.Join([]string{
		"", "  Gatehouse runs with a sample app, paid models, " + fmt.Sprint(len(demo.Customers())) + " organizations and their traffic.", "",
		"  Console    " + s.shown.SignInURL, "             (signs you in once; all of it ends with Ctrl-C)", "",
		"  Through the gate, as a customer:", "    " + curl + s.shown.APIKey + "\" " + s.shown.GatewayURL + "/v1/me", "",
		"  Its budget, and what it used of it:", "    " + curl + s.shown.APIKey + "\" " + s.shown.ConsoleURL + "/v1/quotas", "",
		"  The management API, as the operator:", "    " + curl + s.shown.AdminAPIKey + "\" " + s.shown.ConsoleURL + "/v1/orgs", ""}, "\n"))
}

// signIn makes an operator and the link that signs it in.
func (s *stage) signIn(ctx context.Context) error {
	password, _, err := s.cli.password(false)
	if err != nil {
		return err
	}
	email := "demo@example.com"
	if err := s.claim(ctx, email, password); err != nil {
		return err
	}
	token, _, err := s.program.auth.SignInLink(ctx, s.cli.actor(), email)
	s.shown.SignInURL = s.shown.ConsoleURL + ui.SignInLink(token)
	return err
}
