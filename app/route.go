package app

import (
	"fmt"
	"net/textproto"
	"strings"
	"time"
)

// AuthMode is one way by which a route lets a caller identify itself.
type AuthMode string

// Auth modes of a route. AuthOptional goes beside others: no credential
// passes as anonymous, a wrong one is still refused. AuthNone stands alone.
const (
	AuthKey      AuthMode = "key"
	AuthJWT      AuthMode = "jwt"
	AuthSession  AuthMode = "session"
	AuthOptional AuthMode = "optional"
	AuthNone     AuthMode = "none"
)

// Route is a rule that sends requests to an upstream. The most specific route
// wins: exact host before wildcard before any, then the longest path prefix,
// then one with methods before one without, then the name.
type Route struct {
	ID             RouteID     `json:"id,omitempty"`
	Name           string      `json:"name"`                      // unique label
	Hosts          []string    `json:"hosts,omitempty"`           // "api.example.com", "*.example.com"; none is any
	PathPrefix     string      `json:"path_prefix"`               // begins with /; matches whole segments
	Methods        []string    `json:"methods,omitempty"`         // none is any
	Upstream       string      `json:"upstream"`                  // name of an upstream
	SharedUpstream bool        `json:"shared_upstream,omitempty"` // also for an organization that has its own upstream
	StripPrefix    string      `json:"strip_prefix,omitempty"`
	AddPrefix      string      `json:"add_prefix,omitempty"`
	Headers        Edits       `json:"headers,omitzero"`      // request headers towards the app
	Query          Edits       `json:"query,omitzero"`        // query parameters towards the app
	Closed         []string    `json:"closed,omitempty"`      // path prefixes that answer 404
	Auth           []AuthMode  `json:"auth,omitempty"`        // default: key
	Scopes         []string    `json:"scopes,omitempty"`      // all required
	RateLimits     []RateLimit `json:"rate_limits,omitempty"` // of this route, per organization
	Weight         int64       `json:"weight,omitempty"`      // units a request takes, default 1
	Meters         []string    `json:"meters,omitempty"`      // default: requests, bytes, duration; "none" counts nothing
	BodyLimit      int64       `json:"body_limit,omitempty"`  // bytes, default 100 MiB
	Timeout        Duration    `json:"timeout,omitempty"`     // until the answer's headers, default 60s
	Cost           Money       `json:"cost,omitempty"`        // what a request costs the operator: drawn from budgets
	Egress         *Egress     `json:"egress,omitempty"`      // the app's own calls to a paid API
	CreatedAt      time.Time   `json:"created_at,omitzero"`
	UpdatedAt      time.Time   `json:"updated_at,omitzero"`
}

// Egress marks a route on which the operator's app calls a paid API for an
// organization, which a header names that only the app's own key may set.
type Egress struct {
	API       EgressAPI `json:"api"`
	Clamp     bool      `json:"clamp,omitempty"`      // lower the wanted output to what budgets cover, where they cover some
	MaxOutput int64     `json:"max_output,omitempty"` // tokens to reserve where neither the call nor the price list says
}

// EgressAPI is the language of a paid API.
type EgressAPI string

// Languages of paid APIs.
const (
	EgressOpenAI    EgressAPI = "openai"    // chat completions, responses, embeddings; and what is compatible
	EgressAnthropic EgressAPI = "anthropic" // messages
	EgressHTTP      EgressAPI = "http"      // any other: it costs the route's Cost
)

// Edits sets and removes names. A value may hold ${org.id}, ${org.slug},
// ${org.plan}, ${key.id}, ${actor} and ${request.id}.
type Edits struct {
	Set    map[string]string `json:"set,omitempty"`
	Remove []string          `json:"remove,omitempty"`
}

// Defaults of a route.
const (
	DefaultWeight    = 1
	DefaultBodyLimit = 100 << 20
	DefaultTimeout   = Duration(60 * time.Second)
	MaxWeight        = 1_000_000
	MaxRouteCost     = Money(1000_000_000) // $1,000 a request
)

// Meters that the gate itself counts.
const (
	MeterRequests = "requests" // requests times weight
	MeterBytes    = "bytes"    // bytes in and out
	MeterDuration = "duration" // time from first to last byte
	MeterNone     = "none"     // stands alone: the route is not metered
)

// Check returns what is wrong with the route, field by field.
func (r Route) Check() []FieldError {
	var wrong []FieldError
	add := func(field, format string, args ...any) {
		wrong = append(wrong, FieldError{field, fmt.Sprintf(format, args...)})
	}
	if !ValidLabel(r.Name) {
		add("name", "must be 1–40 of a-z 0-9 - _")
	}
	if !ValidLabel(r.Upstream) {
		add("upstream", "must be the name of an upstream")
	}
	for _, path := range append([]string{r.PathPrefix}, r.Closed...) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#") {
			add("path_prefix", "%q must begin with / and hold no ? or #", path)
		}
	}
	for field, prefix := range map[string]string{"strip_prefix": r.StripPrefix, "add_prefix": r.AddPrefix} {
		if prefix != "" && !strings.HasPrefix(prefix, "/") {
			add(field, "must begin with /")
		}
	}
	for i, host := range r.Hosts {
		if host == "" || strings.ContainsAny(host, "/ ") || strings.Contains(strings.TrimPrefix(host, "*."), "*") {
			add(fmt.Sprintf("hosts[%d]", i), "must be a host name, or *. and a host name")
		}
	}
	for i, method := range r.Methods {
		if method == "" || method != strings.ToUpper(method) {
			add(fmt.Sprintf("methods[%d]", i), "must be a method in upper case, such as GET")
		}
	}
	wrong = append(wrong, r.checkAuth()...)
	wrong = append(wrong, CheckRateLimits("rate_limits", r.RateLimits)...)
	if r.Weight < 0 || r.Weight > MaxWeight {
		add("weight", "must be between 1 and %d", MaxWeight)
	}
	if r.Cost < 0 || r.Cost > MaxRouteCost {
		add("cost", "must be between 0 and 1000 dollars")
	}
	if r.Egress != nil {
		wrong = append(wrong, r.Egress.check()...)
	}
	if r.BodyLimit < 0 || r.Timeout < 0 {
		add("body_limit", "and timeout must not be negative")
	}
	for name := range r.Headers.Set {
		if !validHeaderName(name) {
			add("headers.set", "%q is not a header name", name)
		}
	}
	return wrong
}

func (e Egress) check() []FieldError {
	var wrong []FieldError
	switch e.API {
	case EgressOpenAI, EgressAnthropic, EgressHTTP:
	default:
		wrong = append(wrong, FieldError{"egress.api", "must be openai, anthropic or http"})
	}
	if e.MaxOutput < 0 || e.MaxOutput > MaxTokens {
		wrong = append(wrong, FieldError{"egress.max_output", "must be between 0 and 100,000,000 tokens"})
	}
	return wrong
}

func (r Route) checkAuth() []FieldError {
	var wrong []FieldError
	for i, mode := range r.Auth {
		at := fmt.Sprintf("auth[%d]", i)
		switch mode {
		case AuthKey, AuthJWT, AuthSession:
		case AuthOptional:
			if len(r.Auth) == 1 {
				wrong = append(wrong, FieldError{at, "optional goes beside key, jwt or session"})
			}
		case AuthNone:
			if len(r.Auth) > 1 || len(r.Scopes) > 0 {
				wrong = append(wrong, FieldError{at, "none stands alone and without scopes"})
			}
		default:
			wrong = append(wrong, FieldError{at, "must be key, jwt, session, optional or none"})
		}
	}
	for i, scope := range r.Scopes {
		if !ValidScope(scope) || strings.Contains(scope, "*") {
			wrong = append(wrong, FieldError{fmt.Sprintf("scopes[%d]", i), "must look like files:read"})
		}
	}
	return wrong
}

func validHeaderName(name string) bool {
	if name == "" || strings.HasPrefix(textproto.CanonicalMIMEHeaderKey(name), "X-Gatehouse-") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
