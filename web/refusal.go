package web

import (
	"bytes"
	"fmt"
	"net/http"

	"gatehouse/web/respond"
)

// refusal is an answer to a request that is not HTTP as we accept it, made
// before there is a request to speak of.
type refusal struct {
	status int
	code   string
	detail string
}

var (
	refusedLineFeed  = &refusal{400, "bare_line_feed", "A line of the request ends without a carriage return."}
	refusedFolded    = &refusal{400, "folded_header", "A header of the request continues on the next line."}
	refusedName      = &refusal{400, "malformed_header", "A header of the request has no proper name before its colon."}
	refusedBoth      = &refusal{400, "conflicting_length", "The request has both Content-Length and Transfer-Encoding."}
	refusedRepeated  = &refusal{400, "conflicting_length", "The request has more than one Content-Length."}
	refusedLength    = &refusal{400, "invalid_length", "The request's Content-Length is not a number."}
	refusedCoding    = &refusal{400, "unsupported_coding", "The request's Transfer-Encoding is not just chunked, or not of HTTP/1.1."}
	refusedChunk     = &refusal{400, "malformed_chunk", "The request's body is not properly chunked."}
	refusedTooLarge  = &refusal{431, "header_too_large", "The request's header is larger than this server takes."}
	refusedTooMany   = &refusal{431, "too_many_headers", "The request has more header fields than this server takes."}
	refusedMalformed = &refusal{400, "malformed_request", "The request is not well-formed HTTP."}
	refusedVersion   = &refusal{505, "unsupported_version", "This server speaks HTTP/1.1 and HTTP/2."}
	refusedPlain     = &refusal{400, "tls_required", "The request came without TLS to a port that speaks TLS."}
	refusedFull      = &refusal{503, "too_many_connections", "This server has as many connections as it takes. Try again shortly."}
)

// refusalFor finds what stands for an answer of net/http's own making.
func refusalFor(status string) *refusal {
	switch status {
	case "431":
		return refusedTooLarge
	case "501":
		return refusedCoding
	case "505":
		return refusedVersion
	}
	return refusedMalformed
}

// problem is the refusal as an HTTP/1.1 answer that ends the connection.
func (r *refusal) problem() []byte {
	body := fmt.Sprintf(`{"type":"%s%s","title":"%s","status":%d,"detail":"%s","code":"%s"}`+"\n",
		respond.TypePrefix, r.code, http.StatusText(r.status), r.status, r.detail, r.code)
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s", r.status, http.StatusText(r.status), len(body), body)
}

// answer sends the refusal where there is a request to answer.
func (r *refusal) answer(w http.ResponseWriter) {
	_, body, _ := bytes.Cut(r.problem(), []byte("\r\n\r\n"))
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(r.status)
	w.Write(body)
}
