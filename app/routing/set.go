package routing

import (
	"fmt"

	"gatehouse/app"
)

// Set is upstreams and routes together, as a file or a request holds them.
type Set struct {
	Upstreams []app.Upstream `json:"upstreams,omitempty"`
	Routes    []app.Route    `json:"routes,omitempty"`
}

// Check returns what is wrong with the set by itself, field by field below
// "upstreams[0]" and "routes[0]". Whether a route's upstream exists is checked
// when the set is applied.
func (s Set) Check() []app.FieldError {
	var wrong []app.FieldError
	below := func(at string, fields []app.FieldError) {
		for _, f := range fields {
			wrong = append(wrong, app.FieldError{Field: at + "." + f.Field, Message: f.Message})
		}
	}
	seen := map[string]bool{}
	for i, u := range s.Upstreams {
		at := fmt.Sprintf("upstreams[%d]", i)
		below(at, u.Check())
		below(at, nameTwice(seen, u.Name))
	}
	clear(seen)
	for i, r := range s.Routes {
		at := fmt.Sprintf("routes[%d]", i)
		below(at, r.Check())
		below(at, checkPrefixes(r))
		below(at, nameTwice(seen, r.Name))
	}
	return wrong
}

func nameTwice(seen map[string]bool, name string) []app.FieldError {
	if seen[name] {
		return []app.FieldError{{Field: "name", Message: "is used twice"}}
	}
	seen[name] = true
	return nil
}

// checkPrefixes checks what the table has to be able to read.
func checkPrefixes(r app.Route) []app.FieldError {
	var wrong []app.FieldError
	check := func(field, prefix string) {
		if bad := checkPrefix(prefix); bad != "" {
			wrong = append(wrong, app.FieldError{Field: field, Message: bad})
		}
	}
	check("path_prefix", r.PathPrefix)
	if r.StripPrefix != "" {
		check("strip_prefix", r.StripPrefix)
	}
	for i, prefix := range r.Closed {
		check(fmt.Sprintf("closed[%d]", i), prefix)
	}
	return wrong
}

// checkTogether returns what is wrong between routes that will stand beside
// each other: of two prefixes that only some apps tell apart, a request to
// either would be ambiguous.
func checkTogether(routes []app.Route) []app.FieldError {
	var wrong []app.FieldError
	first := map[[2]string]app.Route{} // by host and loose prefix
	for _, r := range routes {
		loose, err := readLoosely(nil, r.PathPrefix)
		if err != nil {
			continue // from before such prefixes were refused
		}
		for _, host := range append([]string{""}, r.Hosts...)[min(len(r.Hosts), 1):] {
			place := [2]string{hostName(host), string(loose)}
			other, taken := first[place]
			if !taken {
				first[place] = r
			} else if segments(other.PathPrefix) != segments(r.PathPrefix) {
				wrong = append(wrong, app.FieldError{Field: "routes." + r.Name + ".path_prefix",
					Message: fmt.Sprintf("differs from %s of route %s by the case of letters alone", other.PathPrefix, other.Name)})
			}
		}
	}
	return wrong
}
