//go:build unix

package main

import (
	"os"
	"syscall"
)

// ownerOf is the user id that a file belongs to.
func ownerOf(path string) (uid int, known bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

// freeSpace is how many bytes a user may still write beside the path.
func freeSpace(path string) (bytes uint64, known bool) {
	var stat syscall.Statfs_t
	if syscall.Statfs(path, &stat) != nil {
		return 0, false
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize), true
}

// lockFile takes the lock of a file until release, or answers that another
// process holds it. The lock ends with its process, however that ends.
func lockFile(path string) (release func(), taken bool, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK {
		file.Close()
		return nil, true, nil
	}
	if err != nil {
		file.Close()
		return nil, false, err
	}
	return func() { file.Close() }, false, nil
}
