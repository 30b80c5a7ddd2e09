package app

// Change tells a running node that configuration changed, by whichever
// process: the node reloads what it cached of the noun. Seq grows by one per
// change in the order of commit.
type Change struct {
	Seq  int64
	Noun string // "org", "key", "plan", "route", "upstream", "session", "operator", "signing_key"
	ID   string // the object's id; a plan's slug, a route's or upstream's name, a session's hash in hex
	Org  OrgID  // the organization it belongs to, if any
}
