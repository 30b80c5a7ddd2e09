// Package keys is the life of API keys: mint, verify, rotate with a grace,
// revoke, and note when each was last used.
//
// A key's secret is shown once. What is stored is its SHA-256: the secret holds
// 178 random bits, so a slow hash would add nothing but time to each request.
package keys
