package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/web/ui"
)

func (c *cli) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the gate, the console and the management API",
		Long: "Runs the gate in front of your app until a signal (SIGINT, SIGTERM) ends it: it then takes no new\n" +
			"connections and lets open requests finish (gateway.drain_timeout). A second signal stops at once.",
		Example: "  gatehouse serve --upstream http://127.0.0.1:3000\n" +
			"  GATEHOUSE_DATABASE_URL_FILE=/run/secrets/database gatehouse serve --data-dir /var/lib/gatehouse",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.serve(cmd.Context(), config)
		},
	}
	addSettingFlags(cmd.Flags())
	return cmd
}

func (c *cli) serve(ctx context.Context, config *Config) error {
	ctx, force, release := untilSignal(ctx)
	defer release()
	unlock, err := lockDataDir(config)
	if err != nil {
		return err
	}
	defer unlock()
	log := c.newLogger(config.Log)
	program, err := Open(ctx, config, programOptions{Log: log, Now: c.now})
	if err != nil {
		return err
	}
	manager := findServiceManager()
	stop := make(chan struct{})
	go manager.watch(stop, config.alive)
	c.greet(ctx, program, log)
	manager.tell("READY=1")
	context.AfterFunc(ctx, func() { manager.tell("STOPPING=1") })
	err = program.Run(ctx, force)
	close(stop)
	if closed := program.Close(); err == nil {
		err = closed
	}
	return err
}

// lockName is the file of the data directory whose lock a serving process holds.
const lockName = "serve.lock"

// lockDataDir keeps two gates from serving one data directory: each would
// allow all of every rate limit. Replicas share PostgreSQL and Redis instead.
func lockDataDir(config *Config) (unlock func(), err error) {
	if err := makeDataDir(config.DataDir); err != nil {
		return nil, err
	}
	unlock, taken, err := lockFile(config.Path(lockName))
	if err != nil {
		return nil, &app.Error{Kind: app.KindUnavailable, Code: "data_dir", Err: err,
			Message: "The data directory " + config.DataDir + " cannot be locked.", Advice: "Let this user write there."}
	}
	if taken {
		return nil, &app.Error{Kind: app.KindConflict, Code: "already_serving",
			Message: "Another `gatehouse serve` runs on the data directory " + config.DataDir + ".",
			Advice:  "Stop it, or choose another --data-dir. Replicas have one each, and share PostgreSQL and Redis."}
	}
	return unlock, nil
}

// greet says where the program listens, and how to claim it.
func (c *cli) greet(ctx context.Context, program *Program, log *slog.Logger) {
	config := program.config
	log.Info("gatehouse serves", "version", version, "gateway", config.gatewayURL(), "console", config.consoleURL(),
		"database", program.store.Engine(), "data_dir", config.DataDir)
	if config.Upstream == "" {
		if routes, err := program.store.Routes(ctx); err == nil && len(routes) == 0 {
			log.Warn("no app behind the gate yet: name it with --upstream or `gatehouse route apply -f`")
		}
	}
	token, open, err := program.auth.ClaimLink(ctx)
	if err != nil {
		log.Error("claim link not made", "err", err)
		return
	}
	if open {
		log.Warn("nobody has claimed the console yet: open this link once", "url", config.consoleURL()+ui.Claim(token))
	}
}

// alive asks the console's listener whether the program answers, for systemd's
// watchdog.
func (c *Config) alive() bool {
	client := &http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(baseURL(c.Console.Addr, "", false) + "/healthz")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode < 500
}

// untilSignal ends ctx at the first signal and force at the second.
func untilSignal(parent context.Context) (ctx, force context.Context, release func()) {
	ctx, first := context.WithCancel(parent)
	force, second := context.WithCancel(context.WithoutCancel(parent))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for _, cancel := range []func(){first, second} {
			select {
			case <-signals:
				cancel()
			case <-done:
				return
			}
		}
	}()
	return ctx, force, func() {
		signal.Stop(signals)
		close(done)
		first()
		second()
	}
}
