package export

import (
	"io"
	"strings"
)

// Place is a destination that is open.
type Place interface {
	Destination
	io.Closer
}

// OpenPlace opens what configuration and the command line name: a folder, or
// s3://bucket/prefix.
func OpenPlace(to string, s3 S3) (Place, error) {
	if strings.HasPrefix(to, "s3://") {
		return OpenBucket(to, s3)
	}
	return OpenFolder(to)
}
