package app

import (
	"fmt"
	"net/url"
	"time"
)

// Protocol is how the gate speaks to an upstream.
type Protocol string

// Protocols to an upstream.
const (
	ProtocolAuto Protocol = "auto" // HTTP/1.1, or HTTP/2 where TLS negotiates it
	ProtocolHTTP Protocol = "http1"
	ProtocolH2   Protocol = "h2"  // HTTP/2 over TLS
	ProtocolH2C  Protocol = "h2c" // HTTP/2 without TLS, for gRPC
)

// Upstream is the operator's app: one or more addresses that answer alike.
type Upstream struct {
	ID                 UpstreamID   `json:"id,omitempty"`
	Name               string       `json:"name"`      // unique label; routes refer to it
	Addresses          []string     `json:"addresses"` // http://host:port or https://host:port, no path
	Protocol           Protocol     `json:"protocol,omitempty"`
	HostHeader         string       `json:"host_header,omitempty"` // default: the client's Host is kept
	Health             *HealthCheck `json:"health,omitempty"`      // default: passive checks only
	ConnectTimeout     Duration     `json:"connect_timeout,omitempty"`
	MaxConnections     int64        `json:"max_connections,omitempty"` // per address; 0 is unlimited
	InsecureSkipVerify bool         `json:"insecure_skip_verify,omitempty"`
	Credential         *Credential  `json:"credential,omitempty"`    // of a paid API: put into each request, in place of the caller's
	AllowPrivate       bool         `json:"allow_private,omitempty"` // with a credential: also send it to private and loopback addresses, and without TLS
	CreatedAt          time.Time    `json:"created_at,omitzero"`
	UpdatedAt          time.Time    `json:"updated_at,omitzero"`
}

// Credential is the operator's secret for a paid API. The secret is stored
// sealed and never shown; writing without one keeps the stored one.
type Credential struct {
	Header string `json:"header"`           // such as x-api-key, or Authorization
	Prefix string `json:"prefix,omitempty"` // before the secret, such as "Bearer "
	Secret string `json:"secret,omitempty"` // written, never read
	Hint   string `json:"hint,omitempty"`   // its last four characters
	Sealed []byte `json:"-"`
}

// HealthCheck asks each address of an upstream whether it is well.
type HealthCheck struct {
	Path      string   `json:"path"`                // such as /healthz; 2xx and 3xx are healthy
	Interval  Duration `json:"interval,omitempty"`  // default 5s
	Timeout   Duration `json:"timeout,omitempty"`   // default 2s
	Unhealthy int64    `json:"unhealthy,omitempty"` // failures in a row until it is left out, default 3
	Healthy   int64    `json:"healthy,omitempty"`   // successes in a row until it is back, default 2
}

// MaxAddresses bounds the addresses of one upstream.
const MaxAddresses = 64

// MaxSecretLength bounds the secret of a Credential, in bytes.
const MaxSecretLength = 4096

// Check returns what is wrong with the upstream, field by field.
func (u Upstream) Check() []FieldError {
	var wrong []FieldError
	if !ValidLabel(u.Name) {
		wrong = append(wrong, FieldError{"name", "must be 1–40 of a-z 0-9 - _"})
	}
	if len(u.Addresses) == 0 || len(u.Addresses) > MaxAddresses {
		wrong = append(wrong, FieldError{"addresses", fmt.Sprintf("must hold 1–%d addresses", MaxAddresses)})
	}
	for i, address := range u.Addresses {
		if err := CheckAddress(address); err != nil {
			wrong = append(wrong, FieldError{fmt.Sprintf("addresses[%d]", i), err.Error()})
		}
	}
	switch u.Protocol {
	case "", ProtocolAuto, ProtocolHTTP, ProtocolH2, ProtocolH2C:
	default:
		wrong = append(wrong, FieldError{"protocol", "must be auto, http1, h2 or h2c"})
	}
	if u.Health != nil && (u.Health.Path == "" || u.Health.Path[0] != '/') {
		wrong = append(wrong, FieldError{"health.path", "must begin with /"})
	}
	wrong = append(wrong, u.checkCredential()...)
	if u.ConnectTimeout < 0 || u.MaxConnections < 0 {
		wrong = append(wrong, FieldError{"connect_timeout", "and max_connections must not be negative"})
	}
	return wrong
}

// CheckAddress says what is wrong with an upstream's address.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return fmt.Errorf("%q must look like http://host:port", address)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return fmt.Errorf("%q must hold no user, path, query or fragment (a route adds a prefix)", address)
	}
	return nil
}
