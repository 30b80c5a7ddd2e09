package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/app"
	"gatehouse/store"
)

// Below these, doctor warns.
const (
	leastFreeSpace  = 1 << 30             // bytes for the ledger to grow in
	leastValidity   = 14 * 24 * time.Hour // of a certificate
	mostClockOffset = 2 * time.Second     // against Redis: leases and windows compare times
)

func (p *patient) dataDir() {
	const name = "data directory"
	dir := p.config.DataDir
	info, err := os.Stat(dir)
	switch {
	case os.IsNotExist(err):
		p.add(name, findingWarn, "Run `gatehouse init`, or let `gatehouse serve` make it.", "%s does not exist yet", dir)
		return
	case err != nil || !info.IsDir():
		p.add(name, findingFail, "Choose a directory with --data-dir.", "%s is no directory that can be read", dir)
		return
	}
	probe, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		p.add(name, findingFail, "Run as the user that owns it, or give this user the right to write.", "%s cannot be written: %v", dir, err)
		return
	}
	probe.Close()
	os.Remove(probe.Name())
	if open := info.Mode().Perm() & 0o077; open != 0 && filepath.Separator == '/' {
		p.add(name, findingWarn, "chmod 700 "+dir, "%s may be read by others (mode %o)", dir, info.Mode().Perm())
	} else if free, known := freeSpace(dir); known && free < leastFreeSpace {
		p.add(name, findingWarn, "Make room: the ledger stops when the disk is full.", "only %d MB are free in %s", free>>20, dir)
	} else {
		p.add(name, findingOK, "", "%s, %d GB free", dir, free>>30)
	}
}

func (p *patient) encryptionKey() {
	const name = "encryption key"
	path := p.config.Path(encryptionKeyName)
	info, err := os.Stat(path)
	switch {
	case p.config.EncryptionKey != "":
		p.add(name, findingOK, "", "from the configuration")
	case os.IsNotExist(err):
		p.add(name, findingOK, "", "will be generated at the first start")
	case err != nil:
		p.add(name, findingFail, "Restore it from a backup.", "%s cannot be read: %v", path, err)
	default:
		if _, err := installationKey(p.config); err != nil {
			p.add(name, findingFail, app.AsError(err).Advice, "%s", app.AsError(err).Message)
		} else if info.Mode().Perm()&0o077 != 0 && filepath.Separator == '/' {
			p.add(name, findingFail, "chmod 600 "+path, "others may read %s", path)
		} else {
			p.add(name, findingOK, "", "%s", path)
		}
	}
}

func (p *patient) certificates() {
	for name, pair := range map[string]TLSConfig{"gateway certificate": p.config.Gateway.TLS, "console certificate": p.config.Console.TLS} {
		if pair.Enabled() {
			p.certificate(name, pair)
		}
	}
}

func (p *patient) certificate(name string, pair TLSConfig) {
	loaded, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
	if err != nil {
		p.add(name, findingFail, "Check both files, and that this user may read them.", "%v", err)
		return
	}
	leaf, err := x509.ParseCertificate(loaded.Certificate[0])
	switch {
	case err != nil:
		p.add(name, findingFail, "Get a new one.", "%v", err)
	case p.now().After(leaf.NotAfter):
		p.add(name, findingFail, "Renew it.", "ended on %s", moment(leaf.NotAfter))
	case p.now().Add(leastValidity).After(leaf.NotAfter):
		p.add(name, findingWarn, "Renew it soon.", "ends on %s", moment(leaf.NotAfter))
	default:
		p.add(name, findingOK, "", "valid until %s", moment(leaf.NotAfter))
	}
}

func (p *patient) database() {
	const name = "database"
	if p.config.Database.URL == "" && !exists(p.config.Path(storeName)) {
		p.add(name, findingOK, "", "SQLite, will be made at the first start")
		return
	}
	opened, err := store.Open(p.ctx, store.Options{DSN: p.config.Database.URL, Path: p.config.Path(storeName), Now: p.now})
	if err != nil {
		known := app.AsError(err)
		p.add(name, findingFail, known.Advice, "%s %v", known.Message, known.Err)
		return
	}
	defer opened.Close()
	began := time.Now()
	if err := opened.Ping(p.ctx); err != nil {
		p.add(name, findingFail, app.AsError(err).Advice, "%v", err)
		return
	}
	p.add(name, findingOK, "", "%s answers in %s", opened.Engine(), time.Since(began).Round(10*time.Microsecond))
}

func (p *patient) redis() {
	const name = "redis"
	if p.config.Redis.URL == "" {
		p.add(name, findingOK, "", "inside the process")
		return
	}
	client, err := p.redisClient()
	if err == nil {
		defer client.Close()
		began := time.Now()
		if err = client.Ping(p.ctx).Err(); err == nil {
			p.add(name, findingOK, "", "answers in %s", time.Since(began).Round(10*time.Microsecond))
			return
		}
	}
	p.add(name, findingFail, "Check that it runs, and redis.url. Until then limits follow on_loss.", "%v", err)
}

func (p *patient) redisClient() (*redis.Client, error) {
	options, err := redis.ParseURL(p.config.Redis.URL)
	if err != nil {
		return nil, err
	}
	// The client would try again and write to standard error by itself.
	probe, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(p.ctx, options.Network, options.Addr)
	if err != nil {
		return nil, err
	}
	probe.Close()
	options.DialTimeout, options.ReadTimeout, options.MaxRetries = 3*time.Second, 3*time.Second, -1
	return redis.NewClient(options), nil
}

// clock compares this machine's time with Redis's, and with what the data
// directory says of the past.
func (p *patient) clock() {
	const name = "clock"
	now := p.now()
	if info, err := os.Stat(p.config.Path(storeName)); err == nil && info.ModTime().After(now.Add(time.Minute)) {
		p.add(name, findingFail, "Set the clock (NTP): usage would be counted in the past.",
			"stands at %s, before the last change of the data", moment(now))
		return
	}
	if p.config.Redis.URL != "" {
		if client, err := p.redisClient(); err == nil {
			defer client.Close()
			if there, err := client.Time(p.ctx).Result(); err == nil && there.Sub(now).Abs() > mostClockOffset {
				p.add(name, findingWarn, "Let NTP set the clock on both machines.", "differs from Redis's by %s", there.Sub(now).Round(time.Millisecond))
				return
			}
		}
	}
	p.add(name, findingOK, "", "%s", moment(now))
}

func (p *patient) listeners() {
	for _, l := range []struct{ name, addr string }{{"gateway port", p.config.Gateway.Addr},
		{"console port", p.config.Console.Addr}, {"metrics port", p.config.Metrics.Addr}} {
		if l.addr == "" || l.name == "console port" && p.config.OnePort() {
			continue
		}
		listener, err := net.Listen("tcp", l.addr)
		switch {
		case err == nil:
			listener.Close()
			p.add(l.name, findingOK, "", "%s is free", l.addr)
		case p.isGatehouse(l.addr):
			p.add(l.name, findingOK, "", "%s: Gatehouse runs there", l.addr)
		default:
			p.add(l.name, findingFail, "Stop what holds it, or choose another address.", "%v", err)
		}
	}
}

// isGatehouse asks whether what holds the port is a running gate.
func (p *patient) isGatehouse(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	for _, path := range []string{"/healthz", "/.well-known/jwks.json"} {
		status, body, err := p.ask("http://" + net.JoinHostPort(host, port) + path)
		if err == nil && status == 200 && (strings.Contains(body, "ok") || strings.Contains(body, `"keys"`)) {
			return true
		}
	}
	return false
}

func (p *patient) upstreams() {
	addresses := p.upstreamAddresses()
	if len(addresses) == 0 {
		p.add("upstream", findingWarn, "Name your app: --upstream, or `gatehouse route apply -f`.", "none is configured")
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			continue // app.CheckAddress has refused such ones
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		conn, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(p.ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		if err != nil {
			p.add("upstream", findingFail, "Start your app, or correct its address.", "%s: %v", address, err)
			continue
		}
		conn.Close()
		p.add("upstream", findingOK, "", "%s accepts connections", address)
	}
}

// upstreamAddresses are those of the configuration and of the store.
func (p *patient) upstreamAddresses() (addresses []string) {
	if p.config.Upstream != "" {
		addresses = append(addresses, p.config.Upstream)
	}
	open, err := openInstallation(p.ctx, p.config, p.now, false)
	if err != nil {
		return addresses // the database check has said why
	}
	defer open.store.Close()
	list, err := open.store.Upstreams(p.ctx)
	if err != nil {
		return addresses
	}
	for _, u := range list {
		addresses = append(addresses, u.Addresses...)
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}
