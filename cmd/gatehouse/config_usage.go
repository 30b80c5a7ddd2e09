package main

// usageSettings are of the ledger, of quotas, and of where usage is sent.
func usageSettings() []setting[Config] {
	return append(ledgerSettings(), append(exportSettings(), stripeSettings()...)...)
}

func ledgerSettings() []setting[Config] {
	return []setting[Config]{
		{Key: "ledger.sync", Default: "full",
			Doc:   "full: an answer waits until its request is on disk. relaxed: it does not, and a crash may lose what the last milliseconds counted.",
			Value: choice(func(c *Config) *string { return &c.Ledger.Sync }, "full", "relaxed")},
		{Key: "ledger.max_delay", Default: "1ms",
			Doc:   "The longest pause in which a commit gathers company under load.",
			Value: duration(func(c *Config) *std { return &c.Ledger.MaxDelay }, 0, second)},
		{Key: "ledger.verify_every", Default: "1h",
			Doc:   "How often the ledger is proven in the background: what is new, and every sum. 0: only when asked.",
			Value: duration(func(c *Config) *std { return &c.Ledger.VerifyEvery }, 0, 31*day)},
		{Key: "ledger.verify_all_every", Default: "24h",
			Doc:   "How often that reads every block from the first on, as `gatehouse usage verify` does. 0: each time.",
			Value: duration(func(c *Config) *std { return &c.Ledger.VerifyAllEvery }, 0, 31*day)},
		{Key: "quota.upgrade_url", Example: "https://example.com/upgrade",
			Doc:   "Where a customer gets more; refusals of quotas name it.",
			Value: address(func(c *Config) *string { return &c.Quota.UpgradeURL }, "https", "http")},
	}
}

func exportSettings() []setting[Config] {
	return []setting[Config]{
		{Key: "export.to", Example: "s3://my-bucket/usage",
			Doc:   "Where usage records are written by themselves: a folder, or s3://bucket/prefix. Unset: nowhere.",
			Value: text(func(c *Config) *string { return &c.Export.To })},
		{Key: "export.every", Default: "1m",
			Doc:   "How often new records are written there.",
			Value: duration(func(c *Config) *std { return &c.Export.Every }, second, day)},
		{Key: "export.format", Default: "jsonl",
			Doc:   "jsonl: one JSON object a line. csv: one row a record.",
			Value: choice(func(c *Config) *string { return &c.Export.Format }, "jsonl", "csv")},
		{Key: "export.gzip", Default: "true",
			Doc:   "Whether what is written there is compressed.",
			Value: boolean(func(c *Config) *bool { return &c.Export.Gzip })},
		{Key: "export.s3.endpoint", Example: "https://s3.eu-central-1.amazonaws.com",
			Doc:   "The S3-compatible storage.",
			Value: address(func(c *Config) *string { return &c.Export.S3.Endpoint }, "https", "http")},
		{Key: "export.s3.region", Default: "us-east-1",
			Doc:   "The bucket's region.",
			Value: text(func(c *Config) *string { return &c.Export.S3.Region })},
		{Key: "export.s3.access_key", Example: "AKIA…",
			Doc:   "The access key's name.",
			Value: text(func(c *Config) *string { return &c.Export.S3.AccessKey })},
		{Key: "export.s3.secret_key", Secret: true, Example: "(the access key's secret)",
			Doc:   "The access key's secret.",
			Value: text(func(c *Config) *string { return &c.Export.S3.SecretKey })},
		{Key: "export.s3.allow_private", Default: "false",
			Doc:   "Whether the storage may lie in a private network, or on this machine.",
			Value: boolean(func(c *Config) *bool { return &c.Export.S3.AllowPrivate })},
	}
}

func stripeSettings() []setting[Config] {
	return []setting[Config]{
		{Key: "stripe.secret_key", Secret: true, Example: "sk_live_…",
			Doc:   "Reports usage to Stripe as meter events with this key. Unset: nothing is reported.",
			Value: text(func(c *Config) *string { return &c.Stripe.SecretKey })},
		{Key: "stripe.url", Default: "https://api.stripe.com",
			Doc:   "Where Stripe's API answers.",
			Value: address(func(c *Config) *string { return &c.Stripe.URL }, "https", "http")},
		{Key: "stripe.meters", Doc: "Which meters are reported, and under which event name of a Stripe meter.",
			Value: objects(func(c *Config) *[]StripeMeter { return &c.Stripe.Meters }, stripeMeterSettings(), checkStripeMeter)},
	}
}

func stripeMeterSettings() []setting[StripeMeter] {
	return []setting[StripeMeter]{
		{Key: "meter", Doc: "A meter of Gatehouse.", Example: "agent_minutes",
			Value: text(func(m *StripeMeter) *string { return &m.Meter })},
		{Key: "event_name", Doc: "The event name of the meter at Stripe.", Example: "agent_minutes",
			Value: text(func(m *StripeMeter) *string { return &m.EventName })},
	}
}

// checkStripeMeter says what is wrong with a mapping as a whole.
func checkStripeMeter(m StripeMeter) string {
	if m.Meter == "" || m.EventName == "" || len(m.EventName) > 100 { // Stripe's bound
		return "meter and event_name must be set, the name with at most 100 characters"
	}
	return ""
}
