//go:build !unix

package main

// ownerOf is unknown where files have no numeric owner.
func ownerOf(string) (uid int, known bool) { return 0, false }

// freeSpace is unknown on this system.
func freeSpace(string) (bytes uint64, known bool) { return 0, false }

// lockFile locks nothing on this system.
func lockFile(string) (release func(), taken bool, err error) { return func() {}, false, nil }
