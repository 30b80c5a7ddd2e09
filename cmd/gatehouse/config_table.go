package main

import "gatehouse/app"

// setting is one row of the configuration table: the file, the environment,
// the flags, `init`, `config print` and the reference all come from it.
type setting[T any] struct {
	Key     string   // dotted path in the file
	Doc     string   // one or two sentences
	Default string   // as it would be written; empty is unset
	Example string   // shown by init when there is no default
	Flag    string   // of serve; empty: only --set
	Secret  bool     // never shown; a file may hold it (KEY_file, GATEHOUSE_KEY_FILE)
	Value   value[T] // how it is read, checked and shown
}

// settings is the configuration table.
func settings() []setting[Config] {
	var all []setting[Config]
	for _, section := range [][]setting[Config]{storageSettings(), gatewaySettings(), consoleSettings(),
		limitSettings(), identitySettings(), usageSettings(), operationSettings()} {
		all = append(all, section...)
	}
	return all
}

func storageSettings() []setting[Config] {
	return []setting[Config]{
		{Key: "data_dir", Default: defaultDataDir, Flag: "data-dir",
			Doc:   "The directory of the installation: generated keys, SQLite, the ledger.",
			Value: text(func(c *Config) *string { return &c.DataDir })},
		{Key: "upstream", Flag: "upstream", Example: "http://127.0.0.1:3000",
			Doc:   "The address of your app. Until routes are defined, every request goes to it.",
			Value: upstreamAddress(func(c *Config) *string { return &c.Upstream })},
		{Key: "encryption_key", Secret: true, Example: "(32 random bytes in base64)",
			Doc: "Seals signing keys at rest. Unset: generated at the first start into DATA_DIR/encryption.key, mode 0600. " +
				"Replicas on one database need the same key.",
			Value: encryptionKey(func(c *Config) *string { return &c.EncryptionKey })},
		{Key: "database.url", Secret: true, Example: "postgres://gatehouse@127.0.0.1/gatehouse",
			Doc:   "The PostgreSQL database that replicas share. Unset: SQLite in the data directory.",
			Value: address(func(c *Config) *string { return &c.Database.URL }, "postgres", "postgresql")},
		{Key: "redis.url", Secret: true, Example: "redis://127.0.0.1:6379/0",
			Doc:   "The Redis that replicas share for limits and revocations. Unset: one inside the process.",
			Value: address(func(c *Config) *string { return &c.Redis.URL }, "redis", "rediss", "unix")},
	}
}

func gatewaySettings() []setting[Config] {
	return []setting[Config]{
		{Key: "gateway.addr", Default: ":8080", Flag: "gateway-addr",
			Doc:   "Where clients of your app connect.",
			Value: listener(func(c *Config) *string { return &c.Gateway.Addr })},
		{Key: "gateway.tls.cert_file", Example: "/etc/ssl/api.example.com.pem",
			Doc:   "Certificate chain in PEM for the gateway. Unset: no TLS.",
			Value: text(func(c *Config) *string { return &c.Gateway.TLS.CertFile })},
		{Key: "gateway.tls.key_file", Example: "/etc/ssl/private/api.example.com.key",
			Doc:   "Private key in PEM for the certificate.",
			Value: text(func(c *Config) *string { return &c.Gateway.TLS.KeyFile })},
		{Key: "gateway.trusted_proxies", Example: "10.0.0.0/8",
			Doc:   "Networks of your load balancers. Only they may name the client's address (X-Forwarded-For; the right-most address that is not trusted counts).",
			Value: networks(func(c *Config) *[]prefix { return &c.Gateway.TrustedProxies })},
		{Key: "gateway.max_connections", Default: "20000",
			Doc:   "Connections open at once; 0 is unlimited.",
			Value: integer(func(c *Config) *int64 { return &c.Gateway.MaxConnections }, 0, 10_000_000)},
		{Key: "gateway.max_header_bytes", Default: "65536",
			Doc:   "Longest head of a request in bytes; a longer one is answered 431.",
			Value: integer(func(c *Config) *int64 { return &c.Gateway.MaxHeaderBytes }, 4096, 1<<20)},
		{Key: "gateway.read_header_timeout", Default: "10s",
			Doc:   "How long a client may take to send the head of a request.",
			Value: duration(func(c *Config) *std { return &c.Gateway.ReadHeaderTimeout }, second, hour)},
		{Key: "gateway.idle_timeout", Default: "2m",
			Doc:   "How long an idle connection of a client stays open.",
			Value: duration(func(c *Config) *std { return &c.Gateway.IdleTimeout }, second, day)},
		{Key: "gateway.drain_timeout", Default: "30s",
			Doc:   "How long open requests may finish after a signal to stop. A second signal stops at once.",
			Value: duration(func(c *Config) *std { return &c.Gateway.DrainTimeout }, 0, hour)},
		{Key: "gateway.x_ratelimit_headers", Default: "false",
			Doc:   "Also answer with X-RateLimit-Limit, -Remaining and -Reset, for older clients.",
			Value: boolean(func(c *Config) *bool { return &c.Gateway.XRateLimitHeaders })},
	}
}

func consoleSettings() []setting[Config] {
	return []setting[Config]{
		{Key: "console.addr", Default: ":8081", Flag: "console-addr",
			Doc:   "Where the console and the management API answer. The gateway's address puts both on one port; console.host then tells them apart.",
			Value: listener(func(c *Config) *string { return &c.Console.Addr })},
		{Key: "console.host", Example: "console.example.com",
			Doc:   "Host name of the console. Required when both share a port.",
			Value: hostName(func(c *Config) *string { return &c.Console.Host })},
		{Key: "console.claim_from", Default: ClaimFromLoopback, Flag: "claim-from",
			Doc:   "Until an operator has claimed the console it answers only to this machine (loopback) or to everybody (any).",
			Value: choice(func(c *Config) *string { return &c.Console.ClaimFrom }, ClaimFromLoopback, ClaimFromAny)},
		{Key: "console.public_url", Example: "https://console.example.com", Flag: "public-url",
			Doc:   "How browsers reach the console. Links and cookies follow it. Unset: built from console.addr.",
			Value: address(func(c *Config) *string { return &c.Console.PublicURL }, "http", "https")},
		{Key: "console.tls.cert_file", Example: "/etc/ssl/console.example.com.pem",
			Doc:   "Certificate chain in PEM for the console. Unset: no TLS.",
			Value: text(func(c *Config) *string { return &c.Console.TLS.CertFile })},
		{Key: "console.tls.key_file", Example: "/etc/ssl/private/console.example.com.key",
			Doc:   "Private key in PEM for the certificate.",
			Value: text(func(c *Config) *string { return &c.Console.TLS.KeyFile })},
		{Key: "metrics.addr", Example: "127.0.0.1:9090",
			Doc:   "A listener of its own for /metrics, /healthz, /readyz and runtime profiles (/debug/pprof/); keep it on loopback or in a private network. Unset: the first three answer on the console's, and there are no profiles.",
			Value: optionalListener(func(c *Config) *string { return &c.Metrics.Addr })},
	}
}

func limitSettings() []setting[Config] {
	return []setting[Config]{
		{Key: "limits.address.requests", Default: "100",
			Doc:   "Requests without a credential, or with a wrong one, that one client address may send in a window; 0 switches the limit off.",
			Value: integer(func(c *Config) *int64 { return &c.Limits.Address.Requests }, 0, 1e9)},
		{Key: "limits.address.window", Default: "1m",
			Doc:   "The window of limits.address.requests.",
			Value: duration(func(c *Config) *std { return &c.Limits.Address.Window }, second, day)},
		{Key: "limits.address.block", Default: "5m",
			Doc:   "How long an address that passed the limit stays refused; 0 only until the window lets one pass.",
			Value: duration(func(c *Config) *std { return &c.Limits.Address.Block }, 0, day)},
		{Key: "limits.address.exempt", Example: "192.0.2.0/24",
			Doc:   "Networks that the address limit does not watch, such as your own monitoring.",
			Value: networks(func(c *Config) *[]prefix { return &c.Limits.Address.Exempt })},
		{Key: "limits.sign_in.requests", Default: "5",
			Doc:   "Sign-in attempts that one address may make in a window.",
			Value: integer(func(c *Config) *int64 { return &c.Limits.SignIn.Requests }, 1, 1e6)},
		{Key: "limits.sign_in.window", Default: "1m",
			Doc:   "The window of limits.sign_in.requests.",
			Value: duration(func(c *Config) *std { return &c.Limits.SignIn.Window }, second, day)},
		{Key: "limits.websockets.per_address", Default: "100",
			Doc:   "WebSocket connections that one address may hold open; 0 is unlimited.",
			Value: integer(func(c *Config) *int64 { return &c.Limits.WebSockets.PerAddress }, 0, 1e7)},
		{Key: "limits.websockets.total", Default: "10000",
			Doc:   "WebSocket connections open through the gate at once; 0 is unlimited.",
			Value: integer(func(c *Config) *int64 { return &c.Limits.WebSockets.Total }, 0, 1e7)},
		{Key: "limits.on_loss", Default: string(app.FailOpen),
			Doc: "What a rate limit does while Redis is away, unless it says it itself: open lets requests pass (counted, and shown in the console), closed answers 503.",
			Value: choice(func(c *Config) *string { return (*string)(&c.Limits.OnLoss) },
				string(app.FailOpen), string(app.FailClosed))},
	}
}

func identitySettings() []setting[Config] {
	return []setting[Config]{
		{Key: "identity.assertion.algorithm", Default: "EdDSA",
			Doc:   "Algorithm of the signed identity that your app receives (X-Gatehouse-Assertion).",
			Value: choice(func(c *Config) *string { return &c.Identity.Assertion.Algorithm }, "EdDSA", "ES256", "RS256")},
		{Key: "identity.assertion.ttl", Default: "5m",
			Doc:   "How long an assertion is valid.",
			Value: duration(func(c *Config) *std { return &c.Identity.Assertion.TTL }, 30*second, hour)},
		{Key: "identity.assertion.audience", Default: "upstream",
			Doc:   "The aud claim of assertions.",
			Value: text(func(c *Config) *string { return &c.Identity.Assertion.Audience })},
		{Key: "identity.assertion.issuer", Default: "gatehouse",
			Doc:   "The iss claim of assertions.",
			Value: text(func(c *Config) *string { return &c.Identity.Assertion.Issuer })},
		{Key: "identity.rotation", Default: "30d",
			Doc:   "Age at which a signing key is replaced. The next one is published before it signs.",
			Value: duration(func(c *Config) *std { return &c.Identity.Rotation }, hour, 366*day)},
		{Key: "identity.issuers",
			Doc:   "Outside issuers (Clerk, Auth0, Zitadel, …) whose JWTs are accepted on routes with auth: jwt.",
			Value: objects(func(c *Config) *[]IssuerConfig { return &c.Identity.Issuers }, issuerSettings(), checkIssuer)},
	}
}

// issuerSettings describes one entry of identity.issuers.
func issuerSettings() []setting[IssuerConfig] {
	return []setting[IssuerConfig]{
		{Key: "issuer", Example: "https://example.clerk.accounts.dev",
			Doc:   "The exact iss claim.",
			Value: text(func(i *IssuerConfig) *string { return &i.Issuer })},
		{Key: "jwks_url", Example: "https://example.clerk.accounts.dev/.well-known/jwks.json",
			Doc:   "Where its public keys are published. This or jwks_file.",
			Value: address(func(i *IssuerConfig) *string { return &i.JWKSURL }, "http", "https")},
		{Key: "jwks_file",
			Doc:   "A file with its public keys.",
			Value: text(func(i *IssuerConfig) *string { return &i.JWKSFile })},
		{Key: "audience", Example: "https://api.example.com",
			Doc:   "What the aud claim must hold. Required: without it, tokens made for other services would pass here.",
			Value: text(func(i *IssuerConfig) *string { return &i.Audience })},
		{Key: "org", Example: "acme-inc",
			Doc:   "The organization, by id or slug, that all its tokens belong to. Set it for a customer's own issuer, which could name any organization otherwise. Unset: org_claim tells.",
			Value: text(func(i *IssuerConfig) *string { return &i.Org })},
		{Key: "org_claim", Default: "org_id",
			Doc:   "The claim that names the organization by id or slug.",
			Value: text(func(i *IssuerConfig) *string { return &i.OrgClaim })},
		{Key: "scopes_claim", Default: "scope",
			Doc:   "The claim that holds scopes, as a list or as words in one string.",
			Value: text(func(i *IssuerConfig) *string { return &i.ScopesClaim })},
		{Key: "allow_private", Default: "false",
			Doc:   "Whether jwks_url may lie in a private network. Refused otherwise.",
			Value: boolean(func(i *IssuerConfig) *bool { return &i.AllowPrivate })},
	}
}

func operationSettings() []setting[Config] {
	return []setting[Config]{
		{Key: "log.format", Default: "text", Flag: "log-format",
			Doc:   "text for people, json for machines.",
			Value: choice(func(c *Config) *string { return &c.Log.Format }, "text", "json")},
		{Key: "log.level", Default: "info", Flag: "log-level",
			Doc:   "The least severe level that is written.",
			Value: choice(func(c *Config) *string { return &c.Log.Level }, "debug", "info", "warn", "error")},
		{Key: "log.access", Default: "false",
			Doc:   "Whether each request writes a line.",
			Value: boolean(func(c *Config) *bool { return &c.Log.Access })},
		{Key: "tracing.endpoint", Example: "http://127.0.0.1:4318",
			Doc:   "Where OpenTelemetry traces go (OTLP over HTTP). Unset: no tracing.",
			Value: address(func(c *Config) *string { return &c.Tracing.Endpoint }, "http", "https")},
		{Key: "tracing.sample", Default: "0.01",
			Doc:   "Share of requests that are traced, 0–1.",
			Value: fraction(func(c *Config) *float64 { return &c.Tracing.Sample })},
	}
}
