package api

import (
	"context"
	"net/netip"
	"time"

	"gatehouse/app"
	"gatehouse/app/auth"
)

const aboutSession = "For an app that has checked who its user is: set `cookie` as the value of the cookie " +
	"`gatehouse_session` on the gateway's host, and routes with `auth: session` know the user. " +
	"The value is shown once; only its hash is kept."

// UserSession is a session of a user of the app.
type UserSession struct {
	ID         string    `json:"id" doc:"Names the session; safe to show" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	UserID     string    `json:"user_id" doc:"The user's id in the app" example:"42"`
	OrgID      app.OrgID `json:"org_id" doc:"The organization that the user acts in"`
	Scopes     []string  `json:"scopes" doc:"What the session may do"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at" doc:"When it was used last, to within minutes" example:"2026-11-24T08:00:00Z"`
	ExpiresAt  time.Time `json:"expires_at" doc:"When it ends at the latest; a day without use ends it earlier" example:"2026-12-01T08:00:00Z"`
	Address    string    `json:"address,omitempty" doc:"The browser's address, if the app told it" example:"203.0.113.7"`
	UserAgent  string    `json:"user_agent,omitempty" doc:"The browser's name, if the app told it"`
}

// MintedUserSession is a session with its secret.
type MintedUserSession struct {
	UserSession
	Cookie string `json:"cookie" doc:"Value for the cookie gatehouse_session, for the only time" example:"gs_…"`
}

func viewSession(s app.Session) UserSession {
	return UserSession{ID: s.ID(), UserID: s.ActorID, OrgID: s.OrgID, Scopes: notNull(s.Scopes), CreatedAt: s.CreatedAt,
		LastSeenAt: s.LastSeenAt, ExpiresAt: s.ExpiresAt, Address: s.Address, UserAgent: s.UserAgent}
}

// NewUserSession is the body of createUserSession.
type NewUserSession struct {
	UserID    string       `json:"user_id" doc:"The user's id in the app: 1–200 visible ASCII characters" example:"42"`
	TTL       app.Duration `json:"ttl,omitempty" doc:"How long it holds at most: 1m–7d, 7d by default" example:"8h"`
	Scopes    []string     `json:"scopes,omitempty" doc:"What it may do, such as files:read; no wildcards"`
	Address   netip.Addr   `json:"address,omitzero" doc:"The browser's address, for the list of sessions"`
	UserAgent string       `json:"user_agent,omitempty" doc:"The browser's User-Agent, for the list of sessions" maxLength:"1000"`
}

type createUserSessionInput struct {
	Creation
	OrgPath
	Body NewUserSession
}

func (x *API) createUserSession(ctx context.Context, actor app.Actor, in *createUserSessionInput) (*answerOf[MintedUserSession], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	cookie, session, err := x.Sessions.MintUserSession(ctx, actor, auth.NewUserSession{Org: org, User: in.Body.UserID,
		TTL: in.Body.TTL.Std(), Scopes: in.Body.Scopes, Client: auth.Client{Address: in.Body.Address, UserAgent: in.Body.UserAgent}})
	return answer(MintedUserSession{viewSession(session), cookie}, err)
}

type userSessionsInput struct {
	OrgPath
	UserID string `query:"user_id" required:"true" maxLength:"200" doc:"The user's id in the app" example:"42"`
}

func (x *API) listUserSessions(ctx context.Context, actor app.Actor, in *userSessionsInput) (*answerOf[Items[UserSession]], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	list, err := x.Sessions.UserSessions(ctx, actor, org, in.UserID)
	views := make([]UserSession, len(list))
	for i, session := range list {
		views[i] = viewSession(session)
	}
	return items(views, err)
}

// SessionsEnded says how many sessions were ended.
type SessionsEnded struct {
	Ended int `json:"ended" doc:"How many there were" example:"2"`
}

func (x *API) revokeUserSessions(ctx context.Context, actor app.Actor, in *userSessionsInput) (*answerOf[SessionsEnded], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	ended, err := x.Sessions.RevokeUserSessions(ctx, actor, org, in.UserID)
	return answer(SessionsEnded{ended}, err)
}

type userSessionPath struct {
	OrgPath
	Session string `path:"session" doc:"The session's id" maxLength:"100" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
}

func (x *API) revokeUserSession(ctx context.Context, actor app.Actor, in *userSessionPath) (*struct{}, error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return nil, x.Sessions.RevokeUserSession(ctx, actor, org, in.Session)
}
