package console

import (
	"bytes"
	"compress/gzip"
	"strings"
	"sync"
)

// compressFrom is the number of bytes from which compressing saves a packet.
const compressFrom = 1400

// writers are used again: one is some hundred kilobytes.
var writers = sync.Pool{New: func() any {
	writer, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return writer
}}

// mayCompress reports whether the browser takes the page compressed. A page
// with a secret, and one of who is not signed in, which may hold the token of
// a link, are sent as they are: the length of a compressed page tells whether
// something in it repeats.
func (v *visit) mayCompress(length int) bool {
	return length >= compressFrom && !v.secret && v.signedIn() && strings.Contains(v.r.Header.Get("Accept-Encoding"), "gzip")
}

func compressed(body []byte) []byte {
	writer := writers.Get().(*gzip.Writer)
	defer writers.Put(writer)
	var out bytes.Buffer
	writer.Reset(&out)
	writer.Write(body) // a bytes.Buffer does not fail
	writer.Close()
	return out.Bytes()
}
