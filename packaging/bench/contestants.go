package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// contestant is one gate in front of the upstream.
type contestant struct {
	name    string
	address string
	header  string // more lines of the request's head
	pids    []int  // whose CPU and memory count
}

// stage holds the processes and files of a run.
type stage struct {
	dir    string
	mu     sync.Mutex
	begun  []*exec.Cmd
	closed bool
}

func newStage() (*stage, error) {
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	return &stage{dir: dir}, err
}

// close stops what was started, last first, and removes its files.
func (s *stage) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.begun) - 1; i >= 0 && !s.closed; i-- {
		s.begun[i].Process.Signal(syscall.SIGTERM)
		done := time.AfterFunc(5*time.Second, func() { s.begun[i].Process.Kill() })
		s.begun[i].Wait()
		done.Stop()
	}
	s.closed = true
	os.RemoveAll(s.dir)
}

// spawn starts a server and waits until it listens.
func (s *stage) spawn(address, name string, args ...string) (pid int, err error) {
	output, err := os.Create(filepath.Join(s.dir, filepath.Base(name)+"-"+address+".log"))
	if err != nil {
		return 0, err
	}
	defer output.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.begun = append(s.begun, cmd)
	s.mu.Unlock()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return cmd.Process.Pid, nil
		}
	}
	said, _ := os.ReadFile(output.Name())
	return 0, fmt.Errorf("%s does not listen on %s: %s", name, address, said)
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// start brings up the upstream, the helper and every contestant.
func (s *stage) start(p plan) (list []contestant, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	upstream, err := s.helper(self, "serve-upstream")
	if err != nil {
		return nil, err
	}
	auth, err := s.helper(self, "serve-auth")
	if err != nil {
		return nil, err
	}
	bare, err := s.helper(self, "serve-proxy", upstream.address)
	if err != nil {
		return nil, err
	}
	upstream.name, bare.name = "upstream alone", "bare ReverseProxy"
	upstream.pids = nil // it is no gate
	list = []contestant{upstream, bare}
	for _, begin := range []func(plan, string, contestant) (*contestant, error){s.nginx, s.caddy, s.gatehouse} {
		c, err := begin(p, upstream.address, auth)
		if err != nil {
			return nil, err
		}
		if c != nil {
			list = append(list, *c)
		}
	}
	return list, nil
}

// helper starts this program as one of its servers.
func (s *stage) helper(self, mode string, args ...string) (contestant, error) {
	address, err := freeAddress()
	if err != nil {
		return contestant{}, err
	}
	pid, err := s.spawn(address, self, append([]string{mode, address}, args...)...)
	return contestant{name: mode, address: address, pids: []int{pid}}, err
}

const nginxConf = `daemon off; worker_processes auto; pid %[1]s/nginx.pid; error_log %[1]s/nginx-error.log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
  limit_req_zone $http_authorization zone=key:10m rate=1000000r/s;
  limit_req_zone $binary_remote_addr zone=address:10m rate=1000000r/s;
  upstream app { server %[3]s; keepalive 512; keepalive_requests 1000000; }
  upstream auth { server %[4]s; keepalive 512; keepalive_requests 1000000; }
  server {
    listen %[2]s;
    location / {
      limit_req zone=key burst=100000 nodelay;
      limit_req zone=address burst=100000 nodelay;
      auth_request /_auth;
      auth_request_set $org $upstream_http_x_gatehouse_org;
      proxy_set_header X-Gatehouse-Org $org;
      proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_pass http://app;
    }
    location = /_auth {
      internal;
      proxy_pass http://auth; proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_http_version 1.1; proxy_set_header Connection "";
    }
  }
}
`

func (s *stage) nginx(_ plan, upstream string, auth contestant) (*contestant, error) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		if binary = "/usr/sbin/nginx"; !runs(binary) {
			fmt.Fprintln(os.Stderr, "nginx is not installed: left out")
			return nil, nil
		}
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConf, s.dir, address, upstream, auth.address), 0o644); err != nil {
		return nil, err
	}
	pid, err := s.spawn(address, binary, "-p", s.dir, "-c", file)
	return &contestant{name: "nginx limit_req + auth_request", address: address, header: authorization(benchKey),
		pids: append([]int{pid}, auth.pids...)}, err
}

func runs(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

func authorization(key string) string { return "Authorization: Bearer " + key + "\r\n" }

const caddyfile = `{
	admin off
	auto_https off
	persist_config off
}
http://%[1]s {
	forward_auth %[3]s {
		uri /
		copy_headers X-Gatehouse-Org
	}
	reverse_proxy %[2]s
}
`

func (s *stage) caddy(p plan, upstream string, auth contestant) (*contestant, error) {
	if p.caddy == "" {
		fmt.Fprintln(os.Stderr, "no -caddy: left out")
		return nil, nil
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, "Caddyfile")
	if err := os.WriteFile(file, fmt.Appendf(nil, caddyfile, address, upstream, auth.address), 0o644); err != nil {
		return nil, err
	}
	pid, err := s.spawn(address, p.caddy, "run", "--config", file, "--adapter", "caddyfile")
	return &contestant{name: "Caddy forward_auth", address: address, header: authorization(benchKey),
		pids: append([]int{pid}, auth.pids...)}, err
}

// benchPlans and benchRoutes make the whole pipeline work: two limits of the
// plan, one of the route, one of the key (below), a hard quota of the plan and
// one of the key, the places in flight, identity headers and ledger.
const benchPlans = `plans:
  - slug: bench
    name: Bench
    in_flight: 100000
    rate_limits:
      - {name: hour, requests: 1_000_000_000, window: 1h}
      - {name: minute, requests: 900_000_000, window: 1m}
    quotas:
      - {meter: requests, limit: 1_000_000_000, period: month}
`

const benchRoutes = `upstreams:
  - {name: app, addresses: ["http://%s"]}
routes:
  - name: app
    path_prefix: /
    upstream: app
    rate_limits:
      - {name: second, requests: 10_000_000, window: 1s}
`

func (s *stage) gatehouse(p plan, upstream string, _ contestant) (*contestant, error) {
	if p.gatehouse == "" {
		fmt.Fprintln(os.Stderr, "no -gatehouse: left out")
		return nil, nil
	}
	gateway, err := freeAddress()
	if err != nil {
		return nil, err
	}
	console, err := freeAddress()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(s.dir, "data")
	key, err := s.prepareGatehouse(p.gatehouse, data, upstream)
	if err != nil {
		return nil, err
	}
	pid, err := s.spawn(gateway, p.gatehouse, "serve", "--data-dir", data, "--gateway-addr", gateway, "--console-addr", console)
	if err != nil {
		return nil, err
	}
	return &contestant{name: "Gatehouse, everything on", address: gateway, header: authorization(key), pids: []int{pid}},
		awaitReady("http://" + console + "/readyz")
}

func awaitReady(url string) error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if answer, err := http.Get(url); err == nil {
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("%s does not become ready", url)
}

// prepareGatehouse fills the installation through its command line.
func (s *stage) prepareGatehouse(binary, data, upstream string) (key string, err error) {
	var minted struct{ ID, Key string }
	for _, step := range []struct {
		stdin string
		args  []string
		to    any
	}{
		{benchPlans, []string{"plan", "apply", "-f", "-"}, nil},
		{fmt.Sprintf(benchRoutes, upstream), []string{"route", "apply", "-f", "-"}, nil},
		{"", []string{"org", "create", "Bench", "--plan", "bench"}, nil},
		{"", []string{"key", "create", "--org", "bench", "--name", "bench", "--rate-limit", "10000000/1s"}, &minted},
	} {
		if err := prepare(binary, data, step.stdin, step.args, step.to); err != nil {
			return "", err
		}
	}
	return minted.Key, prepare(binary, data, "", []string{"quota", "set", "--org", "bench", "--key", minted.ID,
		"--meter", "requests", "--period", "day", "--limit", "1000000000"}, nil)
}

// prepare runs one command and reads what it answers.
func prepare(binary, data, stdin string, args []string, to any) error {
	cmd := exec.Command(binary, append(args, "--data-dir", data, "--json")...)
	cmd.Stdin = bytes.NewBufferString(stdin)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil && to != nil {
		err = json.Unmarshal(out, to)
	}
	if err != nil {
		return fmt.Errorf("%v: %w", args, err)
	}
	return nil
}
