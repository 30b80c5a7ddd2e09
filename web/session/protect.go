package session

import (
	"net/http"

	"gatehouse/app"
)

// Protect refuses requests that another site makes the browser send: all that
// change something, and of those that read, all but navigations.
func (m *Manager) Protect(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := protection.Check(r); err != nil {
			m.Fail(w, r, crossOrigin(err))
			return
		}
		if foreignRead(r) {
			m.Fail(w, r, crossOrigin(nil))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// foreignRead reports whether another site embeds or fetches the address. What
// it learns from that (a size, a time, an error) can tell who is signed in.
func foreignRead(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") != "navigate" || isFrame(r.Header.Get("Sec-Fetch-Dest"))
}

func isFrame(dest string) bool {
	switch dest {
	case "iframe", "frame", "embed", "object":
		return true
	}
	return false
}

func crossOrigin(err error) error {
	return &app.Error{Kind: app.KindForbidden, Code: "cross_origin", Message: "This request came from another site, so it was not carried out.",
		Advice: "Open the console and repeat it there.", Err: err}
}
