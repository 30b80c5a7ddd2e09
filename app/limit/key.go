package limit

import (
	"strings"

	"gatehouse/app"
)

// Scope says whose limit a cell holds.
type Scope string

// Scopes of rate limits, as a refusal names them.
const (
	ScopeAddress Scope = "address"
	ScopeKey     Scope = "key"
	ScopeOrg     Scope = "organization"
	ScopeRoute   Scope = "route" // one route's limit, per organization
)

// OrgCell is the key of the cell of an organization's limit, which its plan names.
func OrgCell(org app.OrgID, limit string) string { return string(org) + "/organization/" + limit }

// KeyCell is the key of the cell of an API key's own limit.
func KeyCell(org app.OrgID, key app.KeyID, limit string) string {
	return string(org) + "/key/" + string(key) + "/" + limit
}

// RouteCell is the key of the cell of a route's limit for one organization (or,
// without one, for all who are not identified). The route is its id, or its
// name when it comes from configuration.
func RouteCell(org app.OrgID, route app.RouteID, limit string) string {
	return string(org) + "/route/" + string(route) + "/" + limit
}

// owner is the part of a key before the first slash: the organization. Cells
// of one owner are in one hash slot of Redis and in one call to it.
func owner(key string) string {
	head, _, _ := strings.Cut(key, "/")
	return head
}

// slotted marks the owner in a key of Redis, so that keys of one owner are in
// one hash slot. An empty mark would mean none.
func slotted(key string) string {
	head := owner(key)
	rest := key[len(head):]
	if head == "" {
		head = "-"
	}
	return "{" + head + "}" + rest
}

// scopeOf reads the scope from a key; a key of another form is an organization's.
func scopeOf(key string) Scope {
	_, rest, _ := strings.Cut(key, "/")
	switch head, _, _ := strings.Cut(rest, "/"); Scope(head) {
	case ScopeKey:
		return ScopeKey
	case ScopeRoute:
		return ScopeRoute
	case ScopeAddress:
		return ScopeAddress
	}
	return ScopeOrg
}
