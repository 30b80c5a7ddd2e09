package auth

import (
	"context"
	"encoding/hex"
	"time"

	"gatehouse/app"
)

// touchAfter is how old a session's time of last use may get before a request
// writes it again: fine enough for a list of devices, and few writes.
const touchAfter = time.Minute

// Session answers whose session a cookie's value is. It asks the store each
// time, so a revoked session ends with the next request, on every replica.
func (s *Service) Session(ctx context.Context, cookie string) (app.Session, app.Operator, error) {
	hash, ok := parseSecret(consolePrefix, cookie)
	if !ok {
		return app.Session{}, app.Operator{}, signedOut()
	}
	session, operator, err := s.o.Store.OperatorSession(ctx, hash)
	if app.IsKind(err, app.KindNotFound) {
		err = signedOut()
	}
	if err != nil {
		return app.Session{}, app.Operator{}, err
	}
	now := s.now()
	if !session.Live(now) {
		return app.Session{}, app.Operator{}, signedOut()
	}
	if now.Sub(session.LastSeenAt) >= touchAfter {
		if err := s.o.Store.TouchOperatorSession(ctx, hash, now); err != nil {
			s.o.Log.Warn("cannot note that a session was used", "err", err) // a read-only database still shows pages
		} else {
			session.LastSeenAt = now
		}
	}
	return session, operator, nil
}

func signedOut() error {
	return &app.Error{Kind: app.KindUnauthenticated, Code: "signed_out", Message: "You are not signed in, or your session has ended.",
		Advice: "Sign in again."}
}

// SignOut ends the session. One that has ended already is no error.
func (s *Service) SignOut(ctx context.Context, session app.Session) error {
	return gone(s.o.Store.DeleteOperatorSession(ctx, app.OperatorID(session.ActorID), session.Hash))
}

func gone(err error) error {
	if app.IsKind(err, app.KindNotFound) {
		return nil
	}
	return err
}

// Sessions lists the operator's live sessions, newest first.
func (s *Service) Sessions(ctx context.Context, actor app.Actor) ([]app.Session, error) {
	if err := onlyOperator(actor); err != nil {
		return nil, err
	}
	all, err := s.o.Store.OperatorSessions(ctx, app.OperatorID(actor.ID))
	live, now := []app.Session{}, s.now()
	for _, session := range all {
		if session.Live(now) {
			live = append(live, session)
		}
	}
	return live, err
}

// Revoke ends one of the operator's own sessions, named by app.Session.ID.
func (s *Service) Revoke(ctx context.Context, actor app.Actor, id string) error {
	if err := onlyOperator(actor); err != nil {
		return err
	}
	hash, err := sessionHash(id)
	if err != nil {
		return err
	}
	return s.o.Store.DeleteOperatorSession(ctx, app.OperatorID(actor.ID), hash)
}

// RevokeOthers ends every session of the operator but this one, and answers how many.
func (s *Service) RevokeOthers(ctx context.Context, session app.Session) (int, error) {
	return s.o.Store.DeleteOperatorSessions(ctx, app.OperatorID(session.ActorID), session.Hash)
}

// RevokeAll ends every session of the operator, and answers how many.
func (s *Service) RevokeAll(ctx context.Context, session app.Session) (int, error) {
	return s.o.Store.DeleteOperatorSessions(ctx, app.OperatorID(session.ActorID), [32]byte{})
}

func sessionHash(id string) (hash [32]byte, err error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != len(hash) {
		return hash, app.NotFound("session")
	}
	return [32]byte(raw), nil
}

// Reauthenticate checks the password of who is signed in already, before a
// sensitive change (see app.Session.Reauthed), and gives the session a new
// secret: whoever had got hold of the old one does not share in it. Five wrong
// ones end the session.
func (s *Service) Reauthenticate(ctx context.Context, session app.Session, password string) (SignedIn, error) {
	operator, err := s.checkPassword(ctx, session, password)
	if err != nil {
		return SignedIn{}, err
	}
	cookie := newSecret(consolePrefix)
	fresh, _ := parseSecret(consolePrefix, cookie)
	now := s.now()
	if err := s.o.Store.UpdateOperatorSession(ctx, session.Hash, fresh, now); err != nil {
		return SignedIn{}, endedMeanwhile(err)
	}
	session.Hash, session.ReauthedAt, session.LastSeenAt = fresh, now, now
	return SignedIn{Cookie: cookie, Session: session, Operator: operator}, nil
}

// ErrReauth is the answer to a sensitive change without a recent password.
func ErrReauth() error {
	return &app.Error{Kind: app.KindForbidden, Code: "reauthentication_needed", Message: "This change needs your password once more.",
		Advice: "Give your password and repeat it."}
}

// checkPassword holds a password against the signed-in operator's, counted by
// session: who took over a browser must not guess on.
func (s *Service) checkPassword(ctx context.Context, session app.Session, password string) (app.Operator, error) {
	operator, err := s.o.Store.Operator(ctx, app.OperatorID(session.ActorID))
	if err != nil {
		return app.Operator{}, endedMeanwhile(err)
	}
	if err := s.guard.pass(ctx, attempt{"auth:reauth:" + session.ID(), s.o.Bounds.Reauth}); err != nil {
		if ended := s.SignOut(ctx, session); ended != nil {
			return app.Operator{}, ended
		}
		return app.Operator{}, signedOut()
	}
	if len(password) > MaxPasswordBytes {
		return app.Operator{}, wrongPassword()
	}
	ok, _, err := s.hasher.verify(ctx, operator.PasswordHash, password)
	if err == nil && !ok {
		err = wrongPassword()
	}
	return operator, err
}

func endedMeanwhile(err error) error {
	if app.IsKind(err, app.KindNotFound) {
		return signedOut()
	}
	return err
}

func wrongPassword() error {
	wrong := app.Invalid("current_password", "is wrong")
	wrong.Code = "wrong_password"
	return wrong
}

// sweepEvery is how often Run forgets sessions that ended by time.
const sweepEvery = time.Hour

// Run forgets ended sessions until the context ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("cannot forget ended sessions", "err", err)
			}
		}
	}
}

// Sweep forgets sessions that ended by time.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.now()
	return s.o.Store.DeleteExpiredSessions(ctx, now, now.Add(-app.SessionIdle))
}
