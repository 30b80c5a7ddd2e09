package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/app"
)

// initDocument is the shape of `init --json`.
type initDocument struct {
	DataDir    string `json:"data_dir"`
	ConfigFile string `json:"config_file"`
	KeyFile    string `json:"encryption_key_file,omitempty"` // empty: the key is configured elsewhere
}

func (c *cli) initCommand() *cobra.Command {
	var force, print bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a data directory with a commented configuration file and a fresh encryption key",
		Example: "  gatehouse init --upstream http://127.0.0.1:3000\n" +
			"  gatehouse init --print > gatehouse.yaml",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := c.load(cmd)
			if err != nil {
				return err
			}
			given := config.givenByFlag()
			if print {
				writeExample(c.out, given)
				return nil
			}
			return c.initialize(config, given, force)
		},
	}
	cmd.Flags().String("upstream", "", "the address of your app, written into the file")
	markSetting(cmd.Flags(), "upstream", "upstream")
	cmd.Flags().BoolVar(&force, "force", false, "replace an existing configuration file")
	cmd.Flags().BoolVar(&print, "print", false, "write the file to standard output and change nothing")
	return cmd
}

// givenByFlag lists the settings of the command line as the file writes them.
// Secrets do not pass: a file of their own holds them better.
func (c *Config) givenByFlag() map[string]string {
	given := map[string]string{}
	for _, s := range settings() {
		if c.Origins[s.Key].From != "flag" || s.Secret || s.Value.each != nil {
			continue
		}
		word := strings.Join(s.Value.show(c), ", ")
		switch {
		case s.Value.List:
			word = "[" + word + "]"
		case strings.HasPrefix(word, ":") || word == "":
			word = `"` + word + `"`
		}
		given[s.Key] = word
	}
	return given
}

func (c *cli) initialize(config *Config, given map[string]string, force bool) error {
	done := initDocument{DataDir: config.DataDir, ConfigFile: config.Path(configName)}
	if c.config != "" {
		done.ConfigFile = c.config
	}
	if err := makeDataDir(config.DataDir); err != nil {
		return err
	}
	var text bytes.Buffer
	writeExample(&text, given)
	if err := writeConfigFile(done.ConfigFile, text.Bytes(), force); err != nil {
		return err
	}
	if config.EncryptionKey == "" {
		if _, err := installationKey(config); err != nil {
			return err
		}
		done.KeyFile = config.Path(encryptionKeyName)
	}
	return c.show(done, func(t *table) {
		t.row("Wrote " + done.ConfigFile)
		t.row("Next: gatehouse serve --data-dir " + config.DataDir)
	})
}

// makeDataDir makes the directory for its owner alone, or leaves it as it is.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &app.Error{Kind: app.KindInvalid, Code: "data_dir", Err: err,
			Message: fmt.Sprintf("The data directory %s cannot be made: %v.", dir, err),
			Advice:  "Choose another with --data-dir, or let this user write there."}
	}
	return nil
}

func writeConfigFile(path string, text []byte, force bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, mode, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return app.Conflict("config_exists", "There is a configuration in %s already; --force replaces it.", path)
	}
	if err == nil {
		_, err = file.Write(text)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return &app.Error{Kind: app.KindInvalid, Code: "config_unwritable", Err: err,
			Message: fmt.Sprintf("The configuration cannot be written to %s: %v.", filepath.Clean(path), err),
			Advice:  "Choose another data directory with --data-dir, or another file with --config."}
	}
	return nil
}
