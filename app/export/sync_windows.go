package export

import "os"

// syncFolder does nothing: NTFS keeps names in its own log.
func syncFolder(*os.File) error { return nil }
