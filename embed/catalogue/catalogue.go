// Package catalogue holds the plans and the price list that a new installation
// starts with.
package catalogue

import _ "embed"

//go:embed plans.yaml
var plans []byte

// Plans returns the shipped plans as a file for `gatehouse plan apply -f`.
func Plans() []byte { return plans }

//go:embed rates.yaml
var rates []byte

// Rates returns the shipped price list as a file for `gatehouse rate apply -f`.
func Rates() []byte { return rates }
