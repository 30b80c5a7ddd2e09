package auth

import (
	"context"
	"time"

	"gatehouse/app"
)

// ClaimLife is how long a claim link holds.
const ClaimLife = 24 * time.Hour

// ClaimLink makes the link by which the first operator claims the
// installation, and ends the former one. open is false, and there is no token,
// once the installation has an operator.
func (s *Service) ClaimLink(ctx context.Context) (token string, open bool, err error) {
	token = newSecret(linkPrefix)
	hash, _ := parseSecret(linkPrefix, token)
	open, err = s.o.Store.UpdateClaim(ctx, hash, s.now().Add(ClaimLife))
	if err != nil || !open {
		return "", false, err
	}
	return token, true, nil
}

// Claimed reports whether the installation has an operator.
func (s *Service) Claimed(ctx context.Context) (bool, error) { return s.o.Store.Claimed(ctx) }

// CheckClaim answers nil while the claim link holds, for the page that asks
// who claims; it does not use the link up.
func (s *Service) CheckClaim(ctx context.Context, token string) error {
	hash, ok := parseSecret(linkPrefix, token)
	if !ok {
		return linkGone()
	}
	open, err := s.o.Store.ClaimOpen(ctx, hash, s.now())
	if err == nil && !open {
		err = linkGone()
	}
	return err
}

// NewOperator is who becomes an operator.
type NewOperator struct {
	Email    string
	Name     string
	Password string
}

// operator checks the input and answers the operator without its password's hash.
func (n NewOperator) operator(now time.Time) (app.Operator, error) {
	o := app.Operator{ID: app.OperatorID(app.NewID("opr", now)), Email: normalEmail(n.Email), Name: n.Name, CreatedAt: now}
	var wrong []app.FieldError
	for _, bad := range []*app.FieldError{checkEmail(o.Email), app.CheckName("name", o.Name), CheckPassword(n.Password, o.Email, o.Name)} {
		if bad != nil {
			wrong = append(wrong, *bad)
		}
	}
	if len(wrong) > 0 {
		return app.Operator{}, app.InvalidFields(wrong)
	}
	return o, nil
}

// Claim makes whoever holds the link the first operator and signs it in.
// However many claim at once, one gets the installation; the others are
// answered like somebody with a wrong link. A wrong field leaves the link whole.
func (s *Service) Claim(ctx context.Context, token string, in NewOperator, client Client) (SignedIn, error) {
	if err := s.CheckClaim(ctx, token); err != nil { // strangers cause nothing costly
		return SignedIn{}, err
	}
	operator, err := in.operator(s.now())
	if err != nil {
		return SignedIn{}, err
	}
	if operator.PasswordHash, err = s.hasher.hash(ctx, in.Password); err != nil {
		return SignedIn{}, err
	}
	hash, _ := parseSecret(linkPrefix, token)
	claimed, err := s.o.Store.InsertFirstOperator(ctx, hash, operator)
	if err == nil && !claimed {
		err = linkGone()
	}
	if err != nil {
		return SignedIn{}, err
	}
	return s.begin(ctx, operator, client, "")
}

func linkGone() error {
	return &app.Error{Kind: app.KindUnauthenticated, Code: "link_gone", Message: "This link does not hold: it was used, replaced, or has expired.",
		Advice: "Make a new one on the machine: gatehouse operator link, or restart gatehouse serve if nobody has claimed it yet."}
}
