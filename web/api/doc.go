// Package api is the management API under /v1: organizations, keys, plans,
// routes, usage. routes.go is the one table of what it offers and who may;
// there is a file for each noun. The OpenAPI document comes from the same
// table, so it cannot differ from what is served.
//
// Every call goes adapter (who is it, may it) → huma (is the input well
// formed) → the noun's handler → a service of app, which authorises once more.
// Every error leaves as problem+json through web/respond.
package api
