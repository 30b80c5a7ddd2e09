package app

import "time"

// ActorKind says what performs a request.
type ActorKind string

// Kinds of actor.
const (
	ActorAnonymous ActorKind = "anonymous"
	ActorKey       ActorKind = "key"
	ActorUser      ActorKind = "user"
	ActorOperator  ActorKind = "operator"
	ActorSystem    ActorKind = "system"
)

// Actor is who performs a request. An operator and the system act on every
// organization; the others on OrgID alone.
type Actor struct {
	Kind   ActorKind
	ID     string // key_…, opr_…, or the user's id in the app; empty for anonymous
	OrgID  OrgID
	KeyID  KeyID
	Scopes []string
}

// String is the form that the app and the logs see: "key:key_…".
func (a Actor) String() string {
	if a.ID == "" {
		return string(a.Kind)
	}
	return string(a.Kind) + ":" + a.ID
}

// MayManage reports whether the actor may change the organization's settings
// through the management API: an operator (with the scope) or the system.
func (a Actor) MayManage(scope string) bool {
	switch a.Kind {
	case ActorSystem:
		return true
	case ActorOperator:
		return Grants(a.Scopes, scope)
	}
	return false
}

// Require is MayManage as an error: nil, or forbidden and which scope is missing.
func (a Actor) Require(scope string) error {
	if a.MayManage(scope) {
		return nil
	}
	return &Error{Kind: KindForbidden, Code: "forbidden", Message: "This credential may not do that.",
		Advice: "Use an operator's credential with the scope " + scope + "."}
}

// Operator is a person who runs the appliance.
type Operator struct {
	ID           OperatorID `json:"id"`
	Email        string     `json:"email"`
	Name         string     `json:"name"`
	PasswordHash string     `json:"-"` // argon2id, PHC string
	CreatedAt    time.Time  `json:"created_at"`
}

// Session is a signed-in browser, of an operator (console) or of a user in an
// organization (gateway). The id that the cookie holds is stored as its SHA-256.
type Session struct {
	Hash       [32]byte  `json:"-"`
	Kind       ActorKind `json:"kind"`     // operator or user
	ActorID    string    `json:"actor_id"` // opr_…, or the user's id in the app
	OrgID      OrgID     `json:"org_id,omitempty"`
	Scopes     []string  `json:"scopes,omitempty"` // of a user's session: what routes with required scopes ask for
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	ReauthedAt time.Time `json:"reauthed_at"` // when the password (or a sign-in link) was last given
	ExpiresAt  time.Time `json:"expires_at"`  // absolute; SessionIdle ends it earlier, see EndsAt
	Address    string    `json:"address"`
	UserAgent  string    `json:"user_agent"`
}
