package auth

import (
	"context"
	"time"

	"gatehouse/app"
)

// LinkLife is how long a one-time sign-in link holds (identity: one-time codes
// 10 min).
const LinkLife = 10 * time.Minute

// SignInLink makes a link that signs the operator in once. Only the machine
// itself may (the command line, the demo). An empty address means the only
// operator there is.
func (s *Service) SignInLink(ctx context.Context, actor app.Actor, email string) (token string, operator app.Operator, err error) {
	if err := onlySystem(actor); err != nil {
		return "", app.Operator{}, err
	}
	if operator, err = s.findOperator(ctx, email); err != nil {
		return "", app.Operator{}, err
	}
	token = newSecret(linkPrefix)
	hash, _ := parseSecret(linkPrefix, token)
	now := s.now()
	return token, operator, s.o.Store.InsertOperatorLink(ctx, operator.ID, hash, now, now.Add(LinkLife))
}

// findOperator finds an operator by its address, or the only one.
func (s *Service) findOperator(ctx context.Context, email string) (app.Operator, error) {
	if email != "" {
		return s.o.Store.OperatorByEmail(ctx, normalEmail(email))
	}
	all, err := s.o.Store.Operators(ctx)
	if err != nil {
		return app.Operator{}, err
	}
	switch len(all) {
	case 0:
		return app.Operator{}, &app.Error{Kind: app.KindNotFound, Code: "unclaimed", Message: "Nobody has claimed this installation yet.",
			Advice: "Open the link that gatehouse serve prints at its start."}
	case 1:
		return all[0], nil
	}
	return app.Operator{}, app.Invalid("email", "must say which operator: there are several")
}

// CheckLink answers nil while the link holds, for the page that it opens; it
// does not use the link up.
func (s *Service) CheckLink(ctx context.Context, token string) error {
	hash, ok := parseSecret(linkPrefix, token)
	if !ok {
		return linkGone()
	}
	open, err := s.o.Store.OperatorLinkOpen(ctx, hash, s.now())
	if err == nil && !open {
		err = linkGone()
	}
	return err
}

// SignInByLink uses a link up and begins a session. Opening the page of a link
// must not call this, a form on it must: mail scanners and previews open links.
// Nothing is counted: a link cannot be guessed, and it is the way in when
// strangers have used up the counts.
func (s *Service) SignInByLink(ctx context.Context, token string, client Client) (SignedIn, error) {
	if err := s.CheckLink(ctx, token); err != nil { // strangers cause no write
		return SignedIn{}, err
	}
	link, _ := parseSecret(linkPrefix, token)
	out := s.fresh(app.Operator{}, client)
	operator, err := s.o.Store.InsertOperatorSessionByLink(ctx, link, out.Session)
	if app.IsKind(err, app.KindNotFound) {
		return SignedIn{}, linkGone()
	}
	if err != nil {
		return SignedIn{}, err
	}
	out.Operator, out.Session.ActorID = operator, string(operator.ID)
	out.Device = s.newDevice(operator.ID, s.deviceOf(client.Device, operator.ID))
	return out, nil
}
