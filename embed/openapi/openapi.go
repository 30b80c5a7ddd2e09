// Package openapi holds the OpenAPI document of the management API as it was
// when this was built, for whoever wants it without running the program.
package openapi

import _ "embed"

// Document is the document in JSON.
//
//go:embed openapi.json
var Document []byte
