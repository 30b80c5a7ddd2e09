package ui

import (
	"net/url"

	"gatehouse/app"
)

// Paths of pages without a parameter.
const (
	PathHome        = "/"
	PathSignIn      = "/sign-in"
	PathSignOut     = "/sign-out"
	PathSignInLink  = "/sign-in/link"
	PathClaim       = "/claim"
	PathOverview    = "/console"
	PathEvents      = "/console/events"
	PathSearch      = "/console/search"
	PathStart       = "/console/start"
	PathOrgs        = "/console/orgs"
	PathNewOrg      = "/console/orgs/new"
	PathUsage       = "/console/usage"
	PathUsageCSV    = "/console/usage.csv"
	PathMeters      = "/console/usage/meters"
	PathRates       = "/console/money/rates"
	PathStripe      = "/console/money/stripe"
	PathTraffic     = "/console/traffic"
	PathPlans       = "/console/plans"
	PathSystem      = "/console/system"
	PathLedger      = "/console/system/ledger"
	PathKeys        = "/console/system/keys"
	PathSessions    = "/console/system/sessions"
	PathPassword    = "/console/system/password"
	PathConfirm     = "/console/system/confirm"
	PathPreferences = "/console/preferences"
)

// SignInLink is the path of a one-time sign-in link.
func SignInLink(token string) string { return With(PathSignInLink, "token", token) }

// Claim is the path of the link by which the first operator claims the installation.
func Claim(token string) string { return With(PathClaim, "token", token) }

// Org is the path of an organization's page; tab is "", "keys", "usage",
// "quotas", "limits" or "settings", or an act such as "suspend".
func Org(slug, tab string) string {
	path := PathOrgs + "/" + url.PathEscape(slug)
	if tab != "" {
		path += "/" + tab
	}
	return path
}

// Keys is the path of the keys of an organization, or with an empty slug of
// the operator's own.
func Keys(slug string) string {
	if slug == "" {
		return PathKeys
	}
	return Org(slug, "keys")
}

// Quota is the path of an act on one quota of an organization, or of one of
// its keys: "edit" or "remove".
func Quota(slug, act string, key app.KeyID, meter string, period app.QuotaPeriod) string {
	return With(Org(slug, "quotas/"+act), "key", string(key), "meter", meter, "period", string(period))
}

// NewKey is the path of the form that makes a key.
func NewKey(slug string) string { return Keys(slug) + "/new" }

// Key is the path of one key; act is "", "rotate", "revoke" or "secret".
func Key(slug string, id app.KeyID, act string) string {
	path := Keys(slug) + "/" + url.PathEscape(string(id))
	if act != "" {
		path += "/" + act
	}
	return path
}

// Plan is the path of a plan's page.
func Plan(slug string) string { return PathPlans + "/" + url.PathEscape(slug) }

// Route is the path of a route's page.
func Route(name string) string { return PathTraffic + "/routes/" + url.PathEscape(name) }

// Upstream is the path of an upstream's page.
func Upstream(name string) string { return PathTraffic + "/upstreams/" + url.PathEscape(name) }

// Session is the path that revokes a session.
func Session(id string) string { return PathSessions + "/" + url.PathEscape(id) }

// With adds query parameters to a path: names and values in turn, a name also
// more than once. Empty values are left out, so that a default leaves no trace
// in the address.
func With(path string, pairs ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Add(pairs[i], pairs[i+1])
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}
