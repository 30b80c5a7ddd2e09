package api

import (
	"context"
	"time"

	"gatehouse/app"
)

const aboutSession = "For an app that has checked who its user is: set `cookie` as the value of the cookie " +
	"`gatehouse_session` on the gateway's host, and routes with `auth: session` know the user. " +
	"The value is shown once; only its hash is kept."

// NewUserSession is the body of createUserSession.
type NewUserSession struct {
	UserID string       `json:"user_id" doc:"The user's id in the app, 1–200 characters" example:"42"`
	TTL    app.Duration `json:"ttl,omitempty" doc:"How long it holds; 7d by default and at most" example:"8h"`
}

// UserSession is a session of a user, with its secret.
type UserSession struct {
	Cookie    string    `json:"cookie" doc:"Value for the cookie gatehouse_session, for the only time"`
	UserID    string    `json:"user_id" doc:"The user's id in the app"`
	OrgID     app.OrgID `json:"org_id" doc:"The organization that the user acts in"`
	ExpiresAt time.Time `json:"expires_at" doc:"When it ends at the latest"`
}

type createUserSessionInput struct {
	Creation
	OrgPath
	Body NewUserSession
}

func (x *API) createUserSession(ctx context.Context, actor app.Actor, in *createUserSessionInput) (*answerOf[UserSession], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	cookie, session, err := x.Sessions.CreateUserSession(ctx, actor, org, in.Body.UserID, in.Body.TTL.Std())
	return answer(UserSession{Cookie: cookie, UserID: session.ActorID, OrgID: session.OrgID, ExpiresAt: session.ExpiresAt}, err)
}

type revokeUserSessionsInput struct {
	OrgPath
	UserID string `query:"user_id" required:"true" maxLength:"200" doc:"The user's id in the app"`
}

// SessionsEnded says how many sessions were ended.
type SessionsEnded struct {
	Ended int `json:"ended" doc:"How many there were"`
}

func (x *API) revokeUserSessions(ctx context.Context, actor app.Actor, in *revokeUserSessionsInput) (*answerOf[SessionsEnded], error) {
	org, err := x.org(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	ended, err := x.Sessions.RevokeUserSessions(ctx, actor, org, in.UserID)
	return answer(SessionsEnded{ended}, err)
}
