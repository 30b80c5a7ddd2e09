// Package console is the pages of the operator: what the gate does now, the
// organizations with their keys and usage, routes and upstreams, plans, and
// the installation itself. Every page works without a script; the script adds
// live numbers, the command bar, copying and read-outs.
//
// routes.go is the table of all pages. A file per noun holds its handlers, the
// .templ file beside it what they look like.
package console
