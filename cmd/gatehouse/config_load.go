package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gatehouse/app"
)

// Origin says where a value came from.
type Origin struct {
	From string `json:"from"`         // default, file, env or flag
	At   string `json:"at,omitempty"` // "gatehouse.yaml:12", "GATEHOUSE_UPSTREAM", "--upstream"
}

const (
	defaultDataDir = "./gatehouse-data"
	configName     = "gatehouse.yaml"
	systemConfig   = "/etc/gatehouse/gatehouse.yaml" // what the deb and rpm packages install
	envPrefix      = "GATEHOUSE_"
)

// sources is everything that a configuration is read from.
type sources struct {
	File   string      // --config; empty: looked for
	Env    []string    // as os.Environ gives it
	Flags  []flagValue // in the order given
	System string      // the package's file, tried last; empty: none
}

// flagValue is a setting given on the command line.
type flagValue struct{ Key, Flag, Value string }

// loadConfig reads, merges and checks the configuration: defaults < file <
// environment < flags. The error is an *app.Error that names every problem.
func loadConfig(from sources) (*Config, error) {
	var r report
	config := &Config{Origins: map[string]Origin{}}
	table := settings()
	applyDefaults(config, table)
	for _, s := range table {
		config.Origins[s.Key] = Origin{From: "default"}
	}
	env := readEnv(from.Env, table, &r)
	flags := readFlags(from.Flags, table, &r)
	config.File = findFile(from, env, flags)
	if config.File != "" {
		raw, err := os.ReadFile(config.File)
		if err != nil {
			return nil, unreadable(config.File, err)
		}
		config.take("file", readFile(config.File, raw, &r), &r)
	}
	config.take("env", env, &r)
	config.take("flag", flags, &r)
	config.check(&r)
	if len(r.problems) > 0 {
		return nil, invalidConfig(r.problems)
	}
	return config, nil
}

// take applies one source's entries.
func (c *Config) take(from string, entries []entry[Config], r *report) {
	given := map[string]string{}
	for _, e := range entries {
		key := e.setting.Key
		if first, twice := given[key]; twice && from != "flag" {
			r.add(key, e.at, "is given twice (also by %s)", first)
			continue
		}
		given[key] = e.at
		e.apply(c, r)
		c.Origins[key] = Origin{From: from, At: e.at}
	}
}

// apply checks an entry's value and puts it into its place.
func (e entry[T]) apply(to *T, r *report) {
	if e.setting.Value.each != nil {
		e.setting.Value.each.decode(to, e.setting.Key, e.node, e.at, r)
		return
	}
	words := e.words
	if e.indirect {
		raw, err := os.ReadFile(words[0])
		if err != nil {
			r.add(e.setting.Key, e.at, "cannot read the file: %v", err)
			return
		}
		words = []string{strings.TrimSpace(string(raw))}
	}
	if err := e.setting.Value.set(to, words); err != nil {
		r.add(e.setting.Key, e.at, "%v", err)
	}
}

// applyDefaults sets what the table says when nobody says anything.
func applyDefaults[T any](to *T, table []setting[T]) {
	for _, s := range table {
		if s.Default == "" {
			continue
		}
		if err := s.Value.set(to, []string{s.Default}); err != nil {
			panic("default of " + s.Key + ": " + err.Error()) // a slip in the table, found by its test
		}
	}
}

// envName is the variable of a key: "gateway.addr" is GATEHOUSE_GATEWAY_ADDR.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// Kubernetes gives every pod variables of this shape for a service that is
// named gatehouse; they are no settings.
var serviceEnv = regexp.MustCompile(`^GATEHOUSE_([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$`)

// readEnv finds settings in the environment, and names of none.
func readEnv(env []string, table []setting[Config], r *report) (found []entry[Config]) {
	for _, pair := range env {
		name, word, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envName("config") {
			continue
		}
		known, indirect := lookUpEnv(table, name)
		switch {
		case known == nil && serviceEnv.MatchString(name):
		case known == nil:
			r.add(name, "environment", "%s", unknownEnv(name, table))
		default:
			found = append(found, entryOf(*known, indirect, word, name, r)...)
		}
	}
	return found
}

func lookUpEnv(table []setting[Config], name string) (known *setting[Config], indirect bool) {
	for i := range table {
		if envName(table[i].Key) == name {
			return &table[i], false
		}
		if table[i].Secret && envName(table[i].Key+"_file") == name {
			return &table[i], true
		}
	}
	return nil, false
}

func unknownEnv(name string, table []setting[Config]) string {
	var names []string
	for _, s := range table {
		names = append(names, envName(s.Key))
	}
	if near := nearest(name, names); near != "" {
		return "there is no such setting; did you mean " + near + "?"
	}
	return "there is no such setting; `gatehouse config print` lists them all"
}

// readFlags finds the settings that were given on the command line.
func readFlags(flags []flagValue, table []setting[Config], r *report) (found []entry[Config]) {
	for _, f := range flags {
		known, indirect := lookUp(table, f.Key)
		if known == nil {
			r.add(f.Key, f.Flag, "%s", unknownKey(f.Key, table))
			continue
		}
		found = append(found, entryOf(*known, indirect, f.Value, f.Flag, r)...)
	}
	return found
}

// entryOf makes an entry of one word: a list is cut at its commas.
func entryOf(known setting[Config], indirect bool, word, at string, r *report) []entry[Config] {
	e := entry[Config]{setting: known, indirect: indirect, at: at, words: []string{word}}
	if known.Value.each != nil {
		node, err := parseObjects(word)
		if err != nil {
			r.add(known.Key, at, "%v", err)
			return nil
		}
		e.node = node
	} else if known.Value.List {
		e.words = strings.FieldsFunc(word, func(c rune) bool { return c == ',' || c == ' ' })
	}
	return []entry[Config]{e}
}

// findFile chooses the configuration file: --config, GATEHOUSE_CONFIG, the one
// in the data directory, and the package's when no data directory was named.
func findFile(from sources, env, flags []entry[Config]) string {
	if from.File != "" {
		return from.File
	}
	for _, pair := range from.Env {
		if file, ok := strings.CutPrefix(pair, envName("config")+"="); ok && file != "" {
			return file
		}
	}
	dir, named := defaultDataDir, false
	for _, e := range append(env, flags...) {
		if e.setting.Key == "data_dir" {
			dir, named = e.words[0], true
		}
	}
	if file := filepath.Join(dir, configName); exists(file) {
		return file
	}
	if !named && from.System != "" && !exists(dir) && exists(from.System) {
		return from.System
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// check looks at values that must fit each other.
func (c *Config) check(r *report) {
	for _, pair := range []struct {
		key string
		tls TLSConfig
	}{{"gateway.tls", c.Gateway.TLS}, {"console.tls", c.Console.TLS}} {
		if (pair.tls.CertFile == "") != (pair.tls.KeyFile == "") {
			r.add(pair.key, "", "cert_file and key_file go together: set both or neither")
		}
	}
	if c.DataDir == "" {
		r.add("data_dir", c.Origins["data_dir"].At, "must not be empty")
	}
	if c.OnePort() && c.Console.Host == "" && !strings.HasSuffix(c.Console.Addr, ":0") {
		r.add("console.host", "", "must be set when console.addr equals gateway.addr, to tell the two apart")
	}
	if c.OnePort() && c.Console.TLS.Enabled() {
		r.add("console.tls", "", "has no effect on a shared port: gateway.tls serves both")
	}
	if c.Metrics.Addr != "" && (c.Metrics.Addr == c.Gateway.Addr || c.Metrics.Addr == c.Console.Addr) {
		r.add("metrics.addr", "", "must differ from the other listeners, or be left out")
	}
}

// invalidConfig is the error of a configuration that does not hold.
func invalidConfig(problems []app.FieldError) *app.Error {
	noun := "problem"
	if len(problems) > 1 {
		noun = "problems"
	}
	return &app.Error{Kind: app.KindInvalid, Code: "invalid_config", Fields: problems,
		Message: fmt.Sprintf("The configuration has %d %s.", len(problems), noun),
		Advice:  "Correct what is named, then try `gatehouse config check`."}
}

func unreadable(file string, err error) *app.Error {
	if errors.Is(err, fs.ErrNotExist) {
		return &app.Error{Kind: app.KindNotFound, Code: "config_not_found", Err: err,
			Message: "There is no configuration file " + file + ".",
			Advice:  "Write one with `gatehouse init`, or leave --config out."}
	}
	return &app.Error{Kind: app.KindInvalid, Code: "config_unreadable", Err: err,
		Message: "The configuration file " + file + " cannot be read: " + err.Error() + ".",
		Advice:  "Let the user that runs gatehouse read it."}
}
