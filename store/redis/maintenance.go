package redis

import "github.com/redis/go-redis/v9/maintnotifications"

// noMaintenance turns off the notices that a hosted Redis may push before it
// moves: they need a server that knows them, and a connection that breaks is
// opened anew anyway.
func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}
