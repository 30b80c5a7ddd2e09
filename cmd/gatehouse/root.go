package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gatehouse/app"
)

// cli is the world that a command sees, and the flags that all of them share.
type cli struct {
	in          io.Reader
	out, err    io.Writer
	env         []string
	now         func() time.Time
	interactive bool // a person is at the other end of in

	json   bool
	yes    bool
	config string
	set    []string
	ran    bool // the command line was understood, and its command began
}

// run executes one command line and returns the exit code.
func (c *cli) run(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var known *app.Error
	if !c.ran && !errors.As(err, &known) {
		err = misuse("", "%s", strings.TrimSpace(err.Error()))
	}
	return c.fail(err)
}

// actor is who acts at the command line: whoever may read the data directory
// may do everything.
func (c *cli) actor() app.Actor { return app.Actor{Kind: app.ActorSystem, ID: "cli"} }

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "One binary in front of your app: identity, limits, metering, a console",
		Long: "Gatehouse stands in front of the app that you have, identifies each request, limits,\n" +
			"counts and forwards it, and shows what happens in a console.\n\n" +
			"Exit codes: 0 done, 1 internal error, 2 wrong usage or input, 3 not found, 4 conflict,\n" +
			"5 refused, 6 something needed is away (try again), 7 the ledger does not hold (usage verify).",
		Example: "  gatehouse demo\n" +
			"  gatehouse serve --upstream http://127.0.0.1:3000\n" +
			"  gatehouse org create \"Acme Inc\" --plan pro\n" +
			"  gatehouse key create --org acme-inc --name ci",
		SilenceUsage:      true,
		SilenceErrors:     true,
		Args:              cobra.ArbitraryArgs,
		RunE:              showGroup,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return misuse(seeHelp(cmd), "%s", err.Error())
	})
	flags := root.PersistentFlags()
	flags.String("data-dir", defaultDataDir, "directory of the installation (GATEHOUSE_DATA_DIR)")
	markSetting(flags, "data-dir", "data_dir")
	flags.StringVar(&c.config, "config", "", "configuration file (default: gatehouse.yaml in the data directory)")
	flags.StringArrayVar(&c.set, "set", nil, "set a key of the configuration, such as log.level=debug; repeatable")
	flags.BoolVar(&c.json, "json", false, "answer with one JSON document")
	root.AddCommand(c.commands()...)
	c.noteRuns(root)
	return root
}

// noteRuns notes when a command begins: an error before that is about the
// command line.
func (c *cli) noteRuns(cmd *cobra.Command) {
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			c.ran = true
			return inner(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		c.noteRuns(sub)
	}
}

// settingAnnotation marks a flag that is a setting of the configuration.
const settingAnnotation = "gatehouse_setting"

func markSetting(flags *pflag.FlagSet, flag, key string) {
	flags.Lookup(flag).Annotations = map[string][]string{settingAnnotation: {key}}
}

// addSettingFlags gives a command the flags that the configuration table names.
func addSettingFlags(flags *pflag.FlagSet) {
	for _, s := range settings() {
		if s.Flag == "" || s.Key == "data_dir" {
			continue
		}
		doc := strings.TrimSuffix(strings.ToLower(s.Doc[:1])+s.Doc[1:], ".")
		flags.String(s.Flag, s.Default, doc)
		markSetting(flags, s.Flag, s.Key)
	}
}

// sources collects what the configuration is read from for this command line.
func (c *cli) sources(cmd *cobra.Command) (sources, error) {
	from := sources{File: c.config, Env: c.env, System: systemConfig}
	for _, pair := range c.set {
		key, word, ok := strings.Cut(pair, "=")
		if !ok {
			return from, misuse("", "--set %s must look like KEY=VALUE", pair)
		}
		from.Flags = append(from.Flags, flagValue{strings.TrimSpace(key), "--set", word})
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if keys := f.Annotations[settingAnnotation]; len(keys) == 1 {
			from.Flags = append(from.Flags, flagValue{keys[0], "--" + f.Name, f.Value.String()})
		}
	})
	return from, nil
}

// load reads the configuration for this command line.
func (c *cli) load(cmd *cobra.Command) (*Config, error) {
	from, err := c.sources(cmd)
	if err != nil {
		return nil, err
	}
	return loadConfig(from)
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: showGroup}
	g.AddCommand(commands...)
	return g
}

// showGroup prints the help of a group, or says that there is no such command.
func showGroup(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	message := fmt.Sprintf("there is no command %q in `%s`", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return misuse(seeHelp(cmd), "%s", message)
}

// takes demands exactly the named arguments.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return misuse("Usage: "+cmd.UseLine(), "%s is missing", names[len(args)])
		case len(args) > len(names):
			return misuse("Usage: "+cmd.UseLine(), "%q is one argument too many", args[len(names)])
		}
		return nil
	}
}
