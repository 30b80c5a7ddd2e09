package web

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLSFiles name a certificate chain and its private key, in PEM.
type TLSFiles struct {
	Cert, Key string // both or neither
}

// certificate is read from its files again when they change, as certbot and
// its like renew them.
type certificate struct {
	files TLSFiles
	log   *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   string // of the files that were read last, whether they were good or not
	looked  time.Time
}

// lookEvery is how often a handshake looks whether the files have changed.
const lookEvery = time.Second

func loadCertificate(files TLSFiles, log *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, log: log}
	stamp, err := c.stampNow()
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", files.Cert, err)
	}
	c.current, c.stamp, c.looked = &pair, stamp, time.Now()
	return c, nil
}

// config is the server's side of TLS with this certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil }}
}

// get returns the certificate in force. One that cannot be read changes nothing.
func (c *certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookEvery {
		return c.current
	}
	c.looked = time.Now()
	stamp, err := c.stampNow()
	if err != nil || stamp == c.stamp {
		return c.current
	}
	c.stamp = stamp
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		c.log.Error("changed certificate not taken", "file", c.files.Cert, "error", err)
		return c.current
	}
	c.log.Info("certificate renewed", "file", c.files.Cert, "until", pair.Leaf.NotAfter)
	c.current = &pair
	return c.current
}

func (c *certificate) stampNow() (string, error) {
	var stamp string
	for _, name := range []string{c.files.Cert, c.files.Key} {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		stamp += fmt.Sprintf("%d %d ", info.ModTime().UnixNano(), info.Size())
	}
	return stamp, nil
}
