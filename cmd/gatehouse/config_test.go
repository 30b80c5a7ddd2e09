package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
)

// load reads a configuration from the text of a file and an environment.
func load(t *testing.T, file string, env []string, flags ...flagValue) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), configName)
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	return loadConfig(sources{File: path, Env: env, Flags: flags})
}

func TestDefaultsAreValid(t *testing.T) {
	config, err := load(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if config.Gateway.Addr != ":8080" || config.Console.Addr != ":8081" || config.Limits.OnLoss != app.FailOpen {
		t.Errorf("unexpected defaults: %+v", config)
	}
	if config.Identity.Rotation != 30*24*time.Hour {
		t.Errorf("rotation is %v", config.Identity.Rotation)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	file := "gateway:\n  addr: :1\n  idle_timeout: 5s\nlog:\n  level: debug\n"
	env := []string{"GATEHOUSE_GATEWAY_ADDR=:2", "GATEHOUSE_LOG_LEVEL=warn", "PATH=/bin"}
	config, err := load(t, file, env, flagValue{"gateway.addr", "--gateway-addr", ":3"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, value, from, at string }{
		{"gateway.addr", config.Gateway.Addr, "flag", "--gateway-addr"},
		{"log.level", config.Log.Level, "env", "GATEHOUSE_LOG_LEVEL"},
		{"gateway.idle_timeout", config.Gateway.IdleTimeout.String(), "file", "gatehouse.yaml:3"},
		{"console.addr", config.Console.Addr, "default", ""},
	} {
		if got := config.Origins[c.key]; got != (Origin{c.from, c.at}) {
			t.Errorf("%s = %s comes from %+v, want %s %s", c.key, c.value, got, c.from, c.at)
		}
	}
	if config.Gateway.Addr != ":3" || config.Log.Level != "warn" || config.Gateway.IdleTimeout != 5*time.Second {
		t.Errorf("wrong values: %+v", config)
	}
}

func TestWrongConfigurationsAreExplained(t *testing.T) {
	for _, c := range []struct {
		name, file string
		env        []string
		want       []string
	}{
		{"unknown key", "gateway:\n  adr: :1\n", nil, []string{"gatehouse.yaml:2", "no key gateway.adr", "gateway.addr?"}},
		{"unknown section", "gatway:\n  addr: :1\n", nil, []string{"gatehouse.yaml:1", "did you mean gateway?"}},
		{"key without its section", "claim_from: any\n", nil, []string{"console.claim_from?"}},
		{"unknown variable", "", []string{"GATEHOUSE_UPSTREM=x"}, []string{"GATEHOUSE_UPSTREAM?"}},
		{"not YAML", "gateway: [", nil, []string{"is not YAML"}},
		{"key twice", "upstream: http://a\nupstream: http://b\n", nil, []string{"upstream"}},
		{"list for a word", "upstream: [a, b]\n", nil, []string{"upstream", "must be a URL"}},
		{"section for a word", "log: text\n", nil, []string{"log", "must hold keys and values"}},
		{"word out of range", "limits:\n  address:\n    window: 5000h\n", nil, []string{"limits.address.window", "from 1s to 1d"}},
		{"bad choice", "ledger:\n  sync: sometimes\n", nil, []string{"ledger.sync", "full, relaxed"}},
		{"bad listener", "gateway:\n  addr: 8080\n", nil, []string{"gateway.addr", ":8080"}},
		{"bad network", "gateway:\n  trusted_proxies: [10.0.0.0/40]\n", nil, []string{"10.0.0.0/40", "network"}},
		{"secret that is no key", "encryption_key: hunter2\n", nil, []string{"encryption_key", "32 bytes"}},
		{"half of TLS", "gateway:\n  tls:\n    cert_file: x.pem\n", nil, []string{"key_file go together"}},
		{"one port without a host", "console:\n  addr: :8080\n", nil, []string{"console.host"}},
		{"secret and its file", "redis:\n  url: redis://a\n  url_file: b\n", nil, []string{"given twice"}},
		{"secret file missing", "", []string{"GATEHOUSE_REDIS_URL_FILE=/nowhere/x"}, []string{"redis.url", "/nowhere/x"}},
		{"issuer's unknown key", "identity:\n  issuers:\n    - isuer: x\n", nil, []string{"gatehouse.yaml:3", "issuer?"}},
		{"issuer without keys", "identity:\n  issuers:\n    - issuer: x\n", nil, []string{"identity.issuers[0]", "jwks_url"}},
		{"two problems at once", "upstream: ftp://x\nlog:\n  level: loud\n", nil, []string{"upstream", "log.level"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.file, c.env)
			if err == nil {
				t.Fatal("was accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the message shows a secret: %v", err)
			}
		})
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(secret, []byte("redis://:pw@host:6379\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file string
		env  []string
	}{
		"in the file":    {"redis:\n  url_file: " + secret + "\n", nil},
		"by environment": {"", []string{"GATEHOUSE_REDIS_URL_FILE=" + secret}},
	} {
		config, err := load(t, c.file, c.env)
		if err != nil || config.Redis.URL != "redis://:pw@host:6379" {
			t.Errorf("%s: %v, %v", name, config, err)
		}
	}
}

func TestIssuersFromFileAndEnvironment(t *testing.T) {
	want := []IssuerConfig{{Issuer: "https://i", JWKSURL: "https://i/jwks", Audience: "app", OrgClaim: "org", ScopesClaim: "scope"}}
	file := "identity:\n  issuers:\n    - issuer: https://i\n      jwks_url: https://i/jwks\n      audience: app\n      org_claim: org\n"
	env := `GATEHOUSE_IDENTITY_ISSUERS=[{"issuer":"https://i","jwks_url":"https://i/jwks","audience":"app","org_claim":"org"}]`
	for _, c := range []struct {
		file string
		env  []string
	}{{file, nil}, {"", []string{env}}} {
		config, err := load(t, c.file, c.env)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(config.Identity.Issuers, want) {
			t.Errorf("got %+v", config.Identity.Issuers)
		}
	}
}

func TestServiceVariablesOfKubernetesAreNoSettings(t *testing.T) {
	env := []string{"GATEHOUSE_SERVICE_HOST=10.0.0.1", "GATEHOUSE_PORT=tcp://10.0.0.1:80", "GATEHOUSE_PORT_80_TCP_ADDR=10.0.0.1",
		"GATEHOUSE_SERVICE_PORT_HTTP=80", "GATEHOUSE_CONSOLE_SERVICE_HOST=10.0.0.2"}
	if _, err := load(t, "", env); err != nil {
		t.Error(err)
	}
}

func TestTheFileIsLookedForInOrder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(path, level string) string {
		os.MkdirAll(filepath.Dir(path), 0o700)
		if err := os.WriteFile(path, []byte("log:\n  level: "+level+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	system := write(filepath.Join(dir, "etc", configName), "error")
	expect := func(from sources, level string) {
		t.Helper()
		from.System = system
		config, err := loadConfig(from)
		if err != nil || config.Log.Level != level {
			t.Errorf("level %v from %q, want %s (%v)", config.Log.Level, config.File, level, err)
		}
	}
	expect(sources{}, "error")
	expect(sources{Env: []string{"GATEHOUSE_DATA_DIR=elsewhere"}}, "info")
	write(filepath.Join("gatehouse-data", configName), "warn")
	expect(sources{}, "warn")
	expect(sources{Env: []string{"GATEHOUSE_CONFIG=" + write("named.yaml", "debug")}}, "debug")
	expect(sources{File: system, Env: []string{"GATEHOUSE_CONFIG=named.yaml"}}, "error")
}
