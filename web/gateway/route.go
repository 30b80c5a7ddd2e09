package gateway

import (
	"net/url"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/app/routing"
	"gatehouse/web/gateway/upstream"
)

// route is an app.Route made ready: every choice that does not depend on the
// request is taken once.
type route struct {
	app.Route
	pool    *upstream.Pool
	modes   authModes
	weight  int64
	bound   time.Duration // how long the operator lets a request wait; 0: nothing was said
	meters  meters
	headers edits
	keep    []string // headers that the route sets: the client cannot have them dropped
	query   edits
	ledger  app.RouteID // how the ledger names the route
	open    *admission  // of everybody who comes without a credential
	vendor  vendor      // of an egress route
}

// authModes are the ways by which a route lets callers identify themselves.
type authModes struct{ key, jwt, session, optional, none bool }

func modesOf(route app.Route) (m authModes) {
	if len(route.Auth) == 0 {
		return authModes{key: true}
	}
	for _, mode := range route.Auth {
		switch mode {
		case app.AuthKey:
			m.key = true
		case app.AuthJWT:
			m.jwt = true
		case app.AuthSession:
			m.session = true
		case app.AuthOptional:
			m.optional = true
		case app.AuthNone:
			m.none = true
		}
	}
	return m
}

func (m authModes) allows(mode app.AuthMode) bool {
	switch mode {
	case app.AuthKey:
		return m.key
	case app.AuthJWT:
		return m.jwt
	case app.AuthSession:
		return m.session
	}
	return false
}

// words names the modes for people.
func (m authModes) words() string {
	var names []string
	for _, mode := range []struct {
		on   bool
		name string
	}{{m.key, "an API key"}, {m.jwt, "a JWT"}, {m.session, "a session"}} {
		if mode.on {
			names = append(names, mode.name)
		}
	}
	return strings.Join(names, " or ")
}

// meters says what of a request the ledger counts.
type meters struct{ requests, bytes, duration bool }

func metersOf(route app.Route) (m meters) {
	if len(route.Meters) == 0 {
		return meters{true, true, true}
	}
	for _, name := range route.Meters {
		switch name {
		case app.MeterRequests:
			m.requests = true
		case app.MeterBytes:
			m.bytes = true
		case app.MeterDuration:
			m.duration = true
		}
	}
	return m
}

func (m meters) none() bool { return m == meters{} }

// edits are the compiled app.Edits.
type edits struct {
	remove []string
	set    []edit
}

type edit struct {
	name  string
	parts []string // literal, variable, literal, …, literal
}

func (e *edits) empty() bool { return len(e.remove) == 0 && len(e.set) == 0 }

// compileEdits splits each value at its ${variables}.
func compileEdits(from app.Edits, canonical func(string) string) edits {
	var out edits
	for _, name := range from.Remove {
		out.remove = append(out.remove, canonical(name))
	}
	for name, value := range from.Set {
		out.set = append(out.set, edit{canonical(name), splitVariables(value)})
	}
	return out
}

func splitVariables(value string) []string {
	var parts []string
	for {
		before, rest, found := strings.Cut(value, "${")
		name, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return append(parts, value)
		}
		parts = append(parts, before, name)
		value = after
	}
}

// requestIDVariable is the only variable that differs between two requests of
// one credential on one route.
const requestIDVariable = "request.id"

// static reports whether the value is the same for every request of a credential.
func (e edit) static() bool {
	for i := 1; i < len(e.parts); i += 2 {
		if e.parts[i] == requestIDVariable {
			return false
		}
	}
	return true
}

// value fills the variables in; an unknown one is empty.
func (e edit) value(variable func(string) string) string {
	if len(e.parts) == 1 {
		return e.parts[0]
	}
	var out strings.Builder
	for i, part := range e.parts {
		if i%2 == 1 {
			part = variable(part)
		}
		out.WriteString(part)
	}
	return out.String()
}

// target returns the escaped path and raw query that the app is asked for.
func (rt *route) target(from *url.URL, variable func(string) string) (path, query string) {
	path, query = from.EscapedPath(), from.RawQuery
	if rt.StripPrefix != "" {
		path, _ = routing.CutPrefix(path, rt.StripPrefix)
	}
	if rt.AddPrefix != "" {
		path = strings.TrimSuffix(rt.AddPrefix, "/") + path
	}
	if !rt.query.empty() {
		query = rt.query.editQuery(query, variable)
	}
	return path, query
}

// editQuery removes and sets parameters, and keeps the others byte for byte
// and in their order. Semicolons also separate, as some apps read them so.
func (e *edits) editQuery(raw string, variable func(string) string) string {
	kept, cut := make([]byte, 0, len(raw)+64), false
	for raw != "" {
		end := strings.IndexAny(raw, "&;") + 1
		if end == 0 {
			end = len(raw)
		}
		pair := raw[:end] // with the separator behind it
		name, _, _ := strings.Cut(strings.TrimRight(pair, "&;"), "=")
		if cut = e.touchesParameter(name); !cut {
			kept = append(kept, pair...)
		}
		raw = raw[end:]
	}
	for _, set := range e.set {
		if n := len(kept); n > 0 && kept[n-1] != '&' {
			kept = append(kept, '&')
		}
		kept = append(kept, url.QueryEscape(set.name)+"="+url.QueryEscape(set.value(variable))...)
	}
	if cut && len(kept) > 0 && len(e.set) == 0 {
		kept = kept[:len(kept)-1] // the separator before the last
	}
	return string(kept)
}

// touchesParameter compares a name as apps may read it: org[] and org[0] are
// org to many.
func (e *edits) touchesParameter(escaped string) bool {
	name, err := url.QueryUnescape(escaped)
	if err != nil {
		return false
	}
	if e.touches(name) {
		return true
	}
	i := strings.IndexAny(name, "[\x00")
	return i > 0 && e.touches(name[:i])
}

func (e *edits) touches(name string) bool {
	for _, removed := range e.remove {
		if removed == name {
			return true
		}
	}
	for _, set := range e.set {
		if set.name == name {
			return true
		}
	}
	return false
}
