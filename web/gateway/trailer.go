package gateway

import (
	"io"
	"net/http"
)

// guardTrailer keeps from the trailer what addressToApp keeps from the header:
// some servers read both as one. What the client sends behind its body is known
// at the body's end only.
func (x *exchange) guardTrailer() {
	if x.r.Trailer == nil { // none was announced, so none is passed on
		return
	}
	guard := &trailerGuard{ReadCloser: x.r.Body, trailer: x.r.Trailer, route: x.route}
	guard.strip()
	x.r.Body = guard
}

// trailerGuard is a request's body that strips the trailer when it ends.
type trailerGuard struct {
	io.ReadCloser
	trailer http.Header
	route   *route
}

// Read implements io.Reader.
func (g *trailerGuard) Read(p []byte) (int, error) {
	n, err := g.ReadCloser.Read(p)
	if err != nil {
		g.strip()
	}
	return n, err
}

func (g *trailerGuard) strip() {
	stripInbound(g.trailer)
	for _, name := range g.route.keep {
		delete(g.trailer, name)
	}
	for _, name := range g.route.headers.remove {
		delete(g.trailer, name)
	}
}
