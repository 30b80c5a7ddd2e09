package api_test

import (
	"context"
	"time"

	"gatehouse/app"
)

type fakeSessions struct{ now func() time.Time }

func (f fakeSessions) CreateUserSession(_ context.Context, _ app.Actor, org app.OrgID, user string, ttl time.Duration) (string, app.Session, error) {
	return "gs_x", app.Session{ActorID: user, OrgID: org, ExpiresAt: f.now().Add(ttl)}, nil
}
func (fakeSessions) RevokeUserSessions(context.Context, app.Actor, app.OrgID, string) (int, error) {
	return 1, nil
}
