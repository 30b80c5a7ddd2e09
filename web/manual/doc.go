// Package manual serves the manual at /docs: pages written in Markdown, the
// decision records, and the reference of the API, drawn from the OpenAPI
// document. Everything is rendered once, at start; no page needs a script, a
// session or another host.
package manual
