package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/app"
	"gatehouse/app/billing"
	"gatehouse/app/keys"
	"gatehouse/app/margin"
	"gatehouse/app/metering"
	"gatehouse/app/routing"
	"gatehouse/app/tenancy"
	"gatehouse/store"
	"gatehouse/web/respond"
)

// storeName is the SQLite file of the data directory.
const storeName = "gatehouse.db"

// installation is an opened store with the services that commands use. It may
// be open beside a running server, which hears of each change.
type installation struct {
	config *Config
	store  *store.Store
	orgs   *tenancy.Service
	keys   *keys.Service
	plans  *billing.Service
	routes *routing.Service
	rates  *margin.Rates
	usage  *metering.Reports // nil until the ledger is open
}

// call is one run of a command on an installation.
type call struct {
	*installation
	ctx context.Context
	cmd *cobra.Command
}

// with runs a command on an installation that exists.
func (c *cli) with(do func(call, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error { return c.runOn(cmd, args, false, do) }
}

// withNew runs a command that may begin an installation.
func (c *cli) withNew(do func(call, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error { return c.runOn(cmd, args, true, do) }
}

func (c *cli) runOn(cmd *cobra.Command, args []string, begin bool, do func(call, []string) error) error {
	config, err := c.load(cmd)
	if err != nil {
		return err
	}
	open, err := openInstallation(cmd.Context(), config, c.now, begin)
	if err != nil {
		return err
	}
	defer open.store.Close()
	return do(call{open, cmd.Context(), cmd}, args)
}

// openInstallation opens the store of a configuration. Unless begin is set, it
// refuses a data directory without one, so that a slip in --data-dir does not
// make an empty installation.
func openInstallation(ctx context.Context, config *Config, now func() time.Time, begin bool) (*installation, error) {
	if err := checkOwner(config); err != nil {
		return nil, err
	}
	local := config.Database.URL == ""
	if local && !begin && !exists(config.Path(storeName)) {
		return nil, noInstallation(config)
	}
	if begin {
		if err := makeDataDir(config.DataDir); err != nil {
			return nil, err
		}
	}
	opened, err := store.Open(ctx, store.Options{DSN: config.Database.URL, Path: config.Path(storeName), Now: now})
	if err != nil {
		return nil, err
	}
	open := newInstallation(config, opened, now)
	if err = open.keepSecrets(); err == nil && begin {
		err = open.seed(ctx)
	}
	if err != nil {
		opened.Close()
		return nil, err
	}
	return open, nil
}

func newInstallation(config *Config, opened *store.Store, now func() time.Time) *installation {
	return &installation{
		config: config, store: opened,
		orgs:   &tenancy.Service{Store: opened, Now: now},
		keys:   &keys.Service{Store: opened, Now: now},
		plans:  &billing.Service{Store: opened},
		routes: &routing.Service{Store: opened},
		rates:  &margin.Rates{Store: opened},
	}
}

// keepSecrets lets routing keep credentials of upstreams. Replicas on one
// database share a key that configuration names: none is made up for them.
func (i *installation) keepSecrets() error {
	if i.config.EncryptionKey == "" && i.config.Database.URL != "" && !exists(i.config.Path(encryptionKeyName)) {
		return nil // routing says so where a secret is given
	}
	key, err := installationKey(i.config)
	if err != nil {
		return err
	}
	sealer, err := app.NewSealer(key)
	if err == nil {
		i.routes.Sealer = sealer
	}
	return err
}

// seed gives a new installation the shipped plans and price list.
func (i *installation) seed(ctx context.Context) error {
	plans, err := shippedPlans()
	if err != nil {
		return err
	}
	if _, err = i.plans.Seed(ctx, plans); err != nil {
		return err
	}
	rates, err := shippedRates()
	if err != nil {
		return err
	}
	_, err = i.rates.Seed(ctx, rates)
	return err
}

func noInstallation(config *Config) *app.Error {
	return &app.Error{Kind: app.KindNotFound, Code: "no_installation",
		Message: "There is no installation in " + config.DataDir + ".",
		Advice:  "Name it with --data-dir, or begin one with `gatehouse init` and `gatehouse serve`."}
}

// checkOwner keeps root from leaving files that the service cannot write.
func checkOwner(config *Config) error {
	owner, known := ownerOf(config.Path(storeName))
	if !known || os.Geteuid() != 0 || owner == 0 {
		return nil
	}
	return &app.Error{Kind: app.KindForbidden, Code: "wrong_user",
		Message: "The installation in " + config.DataDir + " belongs to another user than root.",
		Advice:  "Run the command as that user, such as: sudo -u gatehouse gatehouse …"}
}

// newLogger writes as the configuration says, and masks secrets.
func (c *cli) newLogger(config LogConfig) *slog.Logger {
	level := slog.LevelInfo
	level.UnmarshalText([]byte(config.Level)) // the table allows only levels
	return respond.NewLogger(c.err, config.Format == "json", level)
}
