package session

import (
	"net/http"
	"strings"
	"time"
)

// Names of the console's cookies. Over TLS they get the prefix __Host-, by
// which browsers refuse them from another host, path or without TLS.
const (
	sessionCookie = "gh_session"
	deviceCookie  = "gh_device"
	flashCookie   = "gh_flash"
	secretCookie  = "gh_secret" // the console's own: a fresh key on its way to the page that shows it

	ownPrefix  = "gh_"
	hostPrefix = "__Host-"
)

// deviceLife is how long a browser remembers that it has signed in: as long as
// auth takes it for one.
const deviceLife = 180 * 24 * time.Hour

// name is the cookie's full name.
func (m *Manager) name(cookie string) string {
	if m.Secure {
		return hostPrefix + cookie
	}
	return cookie
}

// read answers a cookie's value. When the browser sends two of one name,
// neither counts: without __Host- another server on the same host (an app on
// another port) can set one that shadows ours, and so sign the operator in as
// somebody else.
func (m *Manager) read(r *http.Request, cookie string) string {
	found := r.CookiesNamed(m.name(cookie))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// write sets a cookie that scripts cannot read; an empty value removes it.
func (m *Manager) write(w http.ResponseWriter, cookie, value string, life time.Duration) {
	seconds := int(life.Seconds())
	if value == "" {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{Name: m.name(cookie), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: m.Secure, SameSite: http.SameSiteLaxMode})
}

// Strip cuts the console's cookies out of a request that goes on to the app.
// Ports share cookies: a browser that is signed in to the console on the same
// host sends them to the gateway too, and the app must never see them.
func Strip(h http.Header) {
	lines := h["Cookie"]
	if !mentions(lines) {
		return
	}
	var kept []string
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			if part = strings.TrimSpace(part); part != "" && !isOwn(part) {
				kept = append(kept, part)
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = []string{strings.Join(kept, "; ")}
}

// mentions is the quick look that most requests end with.
func mentions(lines []string) bool {
	for _, line := range lines {
		if strings.Contains(line, ownPrefix) {
			return true
		}
	}
	return false
}

func isOwn(part string) bool {
	name, _, _ := strings.Cut(strings.TrimPrefix(part, hostPrefix), "=")
	switch strings.TrimSpace(name) {
	case sessionCookie, deviceCookie, flashCookie, secretCookie:
		return true
	}
	return false
}
