package main

import (
	"net/netip"
	"path/filepath"
	"time"

	"gatehouse/app"
)

// Config is every value that the program takes from outside, checked. The
// table in config_table.go describes each one; nothing else reads the
// environment or the configuration file.
type Config struct {
	File    string // path of the file that was read; empty when there was none
	DataDir string // where keys, SQLite and the ledger live

	Database      DatabaseConfig
	Redis         RedisConfig
	Upstream      string // address of the app until routes say otherwise; may be empty
	Gateway       GatewayConfig
	Console       ConsoleConfig
	Metrics       MetricsConfig
	Limits        LimitsConfig
	Identity      IdentityConfig
	Ledger        LedgerConfig
	Quota         QuotaConfig
	Export        ExportConfig
	Stripe        StripeConfig
	Log           LogConfig
	Tracing       TracingConfig
	EncryptionKey string // 32 bytes in base64 or hex; empty: the file encryption.key of the data directory

	Origins map[string]Origin // by key: where each value came from
}

// DatabaseConfig names the control database.
type DatabaseConfig struct {
	URL string // postgres://…; empty is SQLite in the data directory
}

// RedisConfig names the shared authority of replicas.
type RedisConfig struct {
	URL string // redis://… or rediss://…; empty is the one inside the process
}

// TLSConfig is a certificate and its key, in PEM files; both or neither.
type TLSConfig struct {
	CertFile string
	KeyFile  string
}

// Enabled reports whether a certificate is configured.
func (t TLSConfig) Enabled() bool { return t.CertFile != "" }

// GatewayConfig is the listener in front of the app.
type GatewayConfig struct {
	Addr              string
	TLS               TLSConfig
	TrustedProxies    []netip.Prefix // whose X-Forwarded-For is believed
	MaxConnections    int64          // at once; 0 is unlimited
	MaxHeaderBytes    int64
	ReadHeaderTimeout time.Duration
	IdleTimeout       time.Duration
	DrainTimeout      time.Duration // how long open requests may finish at shutdown
	XRateLimitHeaders bool          // also answer with the X-RateLimit-* family
}

// ConsoleConfig is the listener of the console and of the management API.
type ConsoleConfig struct {
	Addr      string // may equal the gateway's when Host is set
	Host      string // host names decide which of the two answers, on one port
	ClaimFrom string // "loopback" or "any": from where the first operator may claim it
	PublicURL string // how browsers reach it; empty: built from Addr
	TLS       TLSConfig
}

// ClaimFromLoopback and ClaimFromAny are the values of ConsoleConfig.ClaimFrom.
const (
	ClaimFromLoopback = "loopback"
	ClaimFromAny      = "any"
)

// MetricsConfig moves /metrics to its own listener.
type MetricsConfig struct {
	Addr string // empty: on the console's listener, for loopback and operators
}

// LimitsConfig is what holds before anybody is identified.
type LimitsConfig struct {
	Address    AddressLimit
	SignIn     SignInLimit
	WebSockets WebSocketLimit
	OnLoss     app.FailMode // of limits that do not say it themselves
}

// AddressLimit is the rate of one client address before authentication.
type AddressLimit struct {
	Requests int64 // in a window; 0 switches the limit off
	Window   time.Duration
	Block    time.Duration  // how long an address that passed it stays refused
	Exempt   []netip.Prefix // addresses that the limit does not watch
}

// SignInLimit is the rate of sign-in attempts from one address.
type SignInLimit struct {
	Requests int64
	Window   time.Duration
}

// WebSocketLimit bounds open WebSocket connections of the whole gate.
type WebSocketLimit struct {
	PerAddress int64 // 0 is unlimited
	Total      int64 // 0 is unlimited
}

// IdentityConfig is how callers and the gate itself prove who they are.
type IdentityConfig struct {
	Assertion AssertionConfig
	Rotation  time.Duration // age at which a signing key is replaced
	Issuers   []IssuerConfig
}

// AssertionConfig is the signed token that the app receives with each request.
type AssertionConfig struct {
	Algorithm string // EdDSA, ES256 or RS256
	TTL       time.Duration
	Audience  string
	Issuer    string
}

// IssuerConfig is an outside issuer whose JWTs are accepted.
type IssuerConfig struct {
	Issuer       string // the exact iss claim
	JWKSURL      string // this or JWKSFile
	JWKSFile     string
	Audience     string // the aud claim must hold it
	Org          string // id or slug of the organization that all its tokens belong to; empty: OrgClaim tells
	OrgClaim     string // claim with the organization's id or slug
	ScopesClaim  string // claim with scopes: a list, or words in one string
	AllowPrivate bool   // JWKSURL may lie in a private network
}

// LedgerConfig is how durably requests are counted.
type LedgerConfig struct {
	Sync     string        // "full": the answer waits for the disk; "relaxed": it does not
	MaxDelay time.Duration // longest pause that a group commit may take to gather company

	VerifyEvery    time.Duration // how often the ledger is proven; 0: never by itself
	VerifyAllEvery time.Duration // how often every block is read for that; 0: each time
}

// QuotaConfig is what refusals of quotas say.
type QuotaConfig struct {
	UpgradeURL string // where a customer gets more; may be empty
}

// ExportConfig sends usage elsewhere, by itself.
type ExportConfig struct {
	To     string        // a folder, or s3://bucket/prefix; empty: nowhere
	Every  time.Duration // how often
	Format string        // jsonl or csv
	Gzip   bool
	S3     S3Config
}

// S3Config reaches an S3-compatible storage.
type S3Config struct {
	Endpoint     string // https://host[:port]
	Region       string
	AccessKey    string
	SecretKey    string
	AllowPrivate bool // may lie in a private network
}

// StripeConfig reports usage to Stripe as meter events.
type StripeConfig struct {
	SecretKey string // empty: nothing is reported
	URL       string // of the API
	Meters    []StripeMeter
}

// StripeMeter says under which name a meter's usage is reported.
type StripeMeter struct {
	Meter     string
	EventName string
}

// LogConfig is what is written to standard error.
type LogConfig struct {
	Format string // text or json
	Level  string // debug, info, warn or error
	Access bool   // one line per request
}

// TracingConfig is where OpenTelemetry spans go.
type TracingConfig struct {
	Endpoint string  // OTLP over HTTP; empty: no tracing
	Sample   float64 // share of requests, 0–1
}

// OnePort reports whether gateway and console share a listener, told apart by
// the console's host name.
func (c *Config) OnePort() bool { return c.Console.Addr == c.Gateway.Addr }

// Path returns the path of a file in the data directory.
func (c *Config) Path(name string) string { return filepath.Join(c.DataDir, name) }
