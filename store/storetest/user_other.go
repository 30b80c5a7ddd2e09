//go:build !unix

package storetest

import "os/exec"

// account is whom a server runs as; here always who runs the tests.
type account struct{}

func unprivileged() account { return account{} }

func (account) apply(*exec.Cmd) {}

func (account) own(string) error { return nil }
