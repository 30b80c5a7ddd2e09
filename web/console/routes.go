package console

import "gatehouse/web/ui"

// access says who may open a page.
type access uint8

const (
	forOperator access = iota // signed in; others are sent to sign in
	forAnyone
)

// page is one row of the table: everything that the console answers.
type page struct {
	method, path string
	who          access
	do           func(*visit) error
}

// pages is the one table of the console's pages.
func (s *site) pages() []page {
	const get, post = "GET", "POST"
	org := ui.PathOrgs + "/{org}"
	return []page{
		{get, "/{$}", forOperator, s.home},
		{get, ui.PathSignIn, forAnyone, s.askSignIn},
		{post, ui.PathSignIn, forAnyone, s.signIn},
		{get, ui.PathSignInLink, forAnyone, s.askLink},
		{post, ui.PathSignInLink, forAnyone, s.signInByLink},
		{post, ui.PathSignOut, forAnyone, s.signOut},
		{get, ui.PathClaim, forAnyone, s.askClaim},
		{post, ui.PathClaim, forAnyone, s.claim},

		{get, ui.PathOverview, forOperator, s.overview},
		{get, ui.PathEvents, forAnyone, s.events}, // tells who is signed out so in the stream
		{get, ui.PathSearch, forOperator, s.search},
		{get, ui.PathStart, forOperator, s.home},
		{post, ui.PathStart, forOperator, s.startApp},
		{post, ui.PathPreferences, forOperator, s.preferences},

		{get, ui.PathOrgs, forOperator, s.orgs},
		{post, ui.PathOrgs, forOperator, s.createOrg},
		{get, ui.PathNewOrg, forOperator, s.newOrg},
		{get, org, forOperator, s.orgPage},
		{get, org + "/usage", forOperator, s.orgUsage},
		{get, org + "/usage.csv", forOperator, s.orgUsageCSV},
		{get, org + "/quotas", forOperator, s.orgQuotas},
		{get, org + "/quotas/edit", forOperator, s.askQuota},
		{post, org + "/quotas/edit", forOperator, s.saveQuota},
		{get, org + "/quotas/remove", forOperator, s.askRemoveQuota},
		{post, org + "/quotas/remove", forOperator, s.removeQuota},
		{get, org + "/limits", forOperator, s.orgLimits},
		{get, org + "/settings", forOperator, s.orgSettings},
		{post, org + "/settings", forOperator, s.saveOrg},
		{get, org + "/plan", forOperator, s.orgPlan},
		{post, org + "/plan", forOperator, s.changePlan},
		{get, org + "/suspend", forOperator, s.askSuspend},
		{post, org + "/suspend", forOperator, s.suspend},
		{post, org + "/resume", forOperator, s.resume},
		{get, org + "/delete", forOperator, s.askDelete},
		{post, org + "/delete", forOperator, s.deleteOrg},

		{get, org + "/keys", forOperator, s.keys},
		{post, org + "/keys", forOperator, s.createKey},
		{get, org + "/keys/new", forOperator, s.newKey},
		{get, org + "/keys/{key}/secret", forOperator, s.secret},
		{get, org + "/keys/{key}/rotate", forOperator, s.askRotate},
		{post, org + "/keys/{key}/rotate", forOperator, s.rotate},
		{get, org + "/keys/{key}/revoke", forOperator, s.askRevoke},
		{post, org + "/keys/{key}/revoke", forOperator, s.revoke},

		{get, ui.PathUsage, forOperator, s.usage},
		{get, ui.PathUsageCSV, forOperator, s.usageCSV},
		{get, ui.PathMeters, forOperator, s.metersPage},
		{get, ui.PathRates, forOperator, s.rates},
		{get, ui.PathStripe, forOperator, s.stripe},
		{get, ui.PathStripe + "/customer", forOperator, s.askCustomer},
		{post, ui.PathStripe + "/customer", forOperator, s.setCustomer},
		{get, ui.PathStripe + "/remove", forOperator, s.askRemoveCustomer},
		{post, ui.PathStripe + "/remove", forOperator, s.removeCustomer},
		{get, ui.PathStripe + "/retry", forOperator, s.askRetry},
		{post, ui.PathStripe + "/retry", forOperator, s.retryReports},
		{get, ui.PathTraffic, forOperator, s.traffic},
		{get, ui.PathTraffic + "/routes/{name}", forOperator, s.routePage},
		{get, ui.PathTraffic + "/upstreams/{name}", forOperator, s.upstreamPage},
		{get, ui.PathPlans, forOperator, s.plans},
		{get, ui.PathPlans + "/{plan}", forOperator, s.plan},

		{get, ui.PathSystem, forOperator, s.system},
		{get, ui.PathLedger, forOperator, s.ledgerPage},
		{post, ui.PathLedger, forOperator, s.proveLedger},
		{get, ui.PathKeys, forOperator, s.keys},
		{post, ui.PathKeys, forOperator, s.createKey},
		{get, ui.PathKeys + "/new", forOperator, s.newKey},
		{get, ui.PathKeys + "/{key}/secret", forOperator, s.secret},
		{get, ui.PathKeys + "/{key}/rotate", forOperator, s.askRotate},
		{post, ui.PathKeys + "/{key}/rotate", forOperator, s.rotate},
		{get, ui.PathKeys + "/{key}/revoke", forOperator, s.askRevoke},
		{post, ui.PathKeys + "/{key}/revoke", forOperator, s.revoke},
		{get, ui.PathSessions, forOperator, s.sessions},
		{post, ui.PathSessions, forOperator, s.revokeOthers},
		{post, ui.PathSessions + "/{id}", forOperator, s.revokeSession},
		{get, ui.PathConfirm, forOperator, s.askConfirm},
		{post, ui.PathConfirm, forOperator, s.confirmPassword},
		{get, ui.PathPassword, forOperator, s.askPassword},
		{post, ui.PathPassword, forOperator, s.changePassword},
	}
}

func (s *site) home(v *visit) error { return v.redirect(ui.PathOverview) }
