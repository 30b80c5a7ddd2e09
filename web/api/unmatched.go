package api

import (
	"net/http"
	"strings"

	"gatehouse/app"
)

// unmatched answers what no route takes: the mux has decided between 404, 405
// and a redirect to the clean path, and is asked which.
func unmatched(w http.ResponseWriter, r *http.Request, handler http.Handler) error {
	probe := &capture{header: http.Header{}}
	handler.ServeHTTP(probe, r)
	allow := probe.header.Get("Allow")
	switch {
	case probe.status == http.StatusMethodNotAllowed && r.Method == http.MethodOptions:
		w.Header().Set("Allow", allow+", OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return nil
	case probe.status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", allow)
		return &app.Error{Kind: app.KindMethod, Code: "method_not_allowed", Message: r.Method + " is not allowed here.",
			Advice: "Allowed: " + allow + "."}
	case probe.status >= 300 && probe.status < 400:
		w.Header().Set("Location", probe.header.Get("Location"))
		w.WriteHeader(http.StatusPermanentRedirect) // keeps method and body
		return nil
	}
	return &app.Error{Kind: app.KindNotFound, Code: "no_such_call", Message: "There is no such call in this API.",
		Advice: "See /v1/openapi.json" + hintOf(r.URL.Path) + "."}
}

// hintOf helps who forgot the version.
func hintOf(path string) string {
	if strings.HasPrefix(path, "/v1/") {
		return ""
	}
	return "; every path begins with /v1/"
}
