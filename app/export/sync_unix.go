//go:build !windows

package export

import "os"

func syncFolder(folder *os.File) error { return folder.Sync() }
