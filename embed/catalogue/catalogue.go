// Package catalogue holds the plans that a new installation starts with.
package catalogue

import _ "embed"

//go:embed plans.yaml
var plans []byte

// Plans returns the shipped plans as a file for `gatehouse plan apply -f`.
func Plans() []byte { return plans }
