package token

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"time"

	"gatehouse/app"
)

// Issuer is an outside party (Clerk, Auth0, Zitadel, a customer's own) whose
// JWTs the gateway accepts. It is believed in what it says of organizations and
// users: a customer's own issuer needs Org, or it could name any organization,
// and users of two issuers with one id are one user to the app.
type Issuer struct {
	Name       string    `json:"name"`                  // label in logs and lists, a-z 0-9 - _
	Issuer     string    `json:"issuer"`                // the iss claim, compared as it is
	Audiences  []string  `json:"audiences"`             // one of them must be in aud
	JWKSURL    string    `json:"jwks_url,omitempty"`    // https, where its keys are
	JWKSFile   string    `json:"jwks_file,omitempty"`   // or a file with them
	Algorithms []string  `json:"algorithms,omitempty"`  // default: OutsideAlgorithms
	Types      []string  `json:"types,omitempty"`       // typ header; default: none, JWT, at+jwt
	Org        app.OrgID `json:"org,omitempty"`         // every token belongs to this organization, or:
	OrgClaim   string    `json:"org_claim,omitempty"`   // claim with its id or slug; default org_id. "o.id" looks inside o
	UserClaim  string    `json:"user_claim,omitempty"`  // claim with the user's id; default sub
	ScopeClaim string    `json:"scope_claim,omitempty"` // claim with scopes, a list or words; default scope
}

// OutsideAlgorithms are the signatures accepted from outside issuers. Nothing
// symmetric: a public key must never be taken for a shared secret.
var outsideAlgorithms = []string{"EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}

// MaxIssuers bounds the issuers of an installation.
const MaxIssuers = 50

// Check returns what is wrong with the issuer, field by field below path.
func (i Issuer) Check(path string, allowPrivate bool) (wrong []app.FieldError) {
	add := func(field, format string, args ...any) {
		wrong = append(wrong, app.FieldError{Field: path + "." + field, Message: fmt.Sprintf(format, args...)})
	}
	if !app.ValidLabel(i.Name) {
		add("name", "must be 1–40 of a-z 0-9 - _")
	}
	if i.Issuer == "" {
		add("issuer", "must be the iss claim of its tokens")
	}
	if len(i.Audiences) == 0 || slices.Contains(i.Audiences, "") {
		add("audiences", "must name the aud claim: without it, tokens made for other services would open this one")
	}
	if (i.JWKSURL == "") == (i.JWKSFile == "") {
		add("jwks_url", "or jwks_file must be given, not both")
	}
	if i.JWKSURL != "" {
		if err := checkKeyURL(i.JWKSURL, allowPrivate); err != nil {
			add("jwks_url", "%s", err)
		}
	}
	for n, algorithm := range i.Algorithms {
		if !slices.Contains(outsideAlgorithms, algorithm) {
			add(fmt.Sprintf("algorithms[%d]", n), "must be one of %v", outsideAlgorithms)
		}
	}
	if i.Org != "" && i.OrgClaim != "" {
		add("org", "and org_claim exclude each other")
	}
	return wrong
}

func checkKeyURL(text string, allowPrivate bool) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("must look like https://issuer.example/.well-known/jwks.json")
	}
	if u.Scheme != "https" && !(allowPrivate && u.Scheme == "http") {
		return fmt.Errorf("must begin with https:// (http:// only where private addresses are allowed)")
	}
	return nil
}

func (i Issuer) withDefaults() Issuer {
	if len(i.Algorithms) == 0 {
		i.Algorithms = outsideAlgorithms
	}
	if len(i.Types) == 0 {
		i.Types = []string{"", "jwt", "at+jwt"}
	}
	i.OrgClaim = orText(i.OrgClaim, "org_id")
	i.UserClaim = orText(i.UserClaim, "sub")
	i.ScopeClaim = orText(i.ScopeClaim, "scope")
	return i
}

func orText(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// Outside is what a token of an outside issuer says, once it has been verified.
type Outside struct {
	Issuer    string    // Issuer.Name
	User      string    // the user's id, fit for a header
	Org       string    // an organization's id or slug (a slug has no _, an id begins with org_)
	Scopes    []string  // without wildcards
	ExpiresAt time.Time // when the token ends
}

// Actor is the user in the organization that Org was found to be.
func (o Outside) Actor(org app.OrgID) app.Actor {
	return app.Actor{Kind: app.ActorUser, ID: o.User, OrgID: org, Scopes: o.Scopes}
}

// userPattern is what a user's id may hold: it goes into headers and logs.
var userPattern = regexp.MustCompile(`^[!-~]{1,200}$`)
