package auth

import (
	"context"

	"gatehouse/app"
)

// Operators lists all operators, the first one first.
func (s *Service) Operators(ctx context.Context, actor app.Actor) ([]app.Operator, error) {
	if !actor.MayManage("operators:read") {
		return nil, forbidden()
	}
	return s.o.Store.Operators(ctx)
}

// AddOperator adds another operator. An operator may everything, so nobody with
// less may add one. Errors: wrong fields, conflict email_taken.
func (s *Service) AddOperator(ctx context.Context, actor app.Actor, in NewOperator) (app.Operator, error) {
	if !actor.MayManage("*") {
		return app.Operator{}, forbidden()
	}
	operator, err := in.operator(s.now())
	if err != nil {
		return app.Operator{}, err
	}
	if operator.PasswordHash, err = s.hasher.hash(ctx, in.Password); err != nil {
		return app.Operator{}, err
	}
	return operator, s.o.Store.InsertOperator(ctx, operator)
}

// RemoveOperator removes an operator and ends its sessions. The last one stays.
func (s *Service) RemoveOperator(ctx context.Context, actor app.Actor, id app.OperatorID) error {
	if !actor.MayManage("*") {
		return forbidden()
	}
	return s.o.Store.DeleteOperator(ctx, id)
}

// ChangePassword changes the signed-in operator's own password and ends its
// other sessions and links. Errors: wrong_password, wrong fields.
func (s *Service) ChangePassword(ctx context.Context, session app.Session, current, next string) error {
	operator, err := s.checkPassword(ctx, session, current)
	if err != nil {
		return err
	}
	return s.replacePassword(ctx, operator, next, session.Hash)
}

// ResetPassword gives an operator a new password without the old one, and ends
// all its sessions and links. Only the machine itself may. An empty address
// means the only operator there is.
func (s *Service) ResetPassword(ctx context.Context, actor app.Actor, email, password string) (app.Operator, error) {
	if err := onlySystem(actor); err != nil {
		return app.Operator{}, err
	}
	operator, err := s.findOperator(ctx, email)
	if err != nil {
		return app.Operator{}, err
	}
	return operator, s.replacePassword(ctx, operator, password, [32]byte{})
}

func (s *Service) replacePassword(ctx context.Context, operator app.Operator, password string, keep [32]byte) error {
	if wrong := CheckPassword(password, operator.Email, operator.Name); wrong != nil {
		return app.InvalidFields([]app.FieldError{*wrong})
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return s.o.Store.ReplaceOperatorPassword(ctx, operator.ID, operator.PasswordHash, hash, keep)
}

func onlySystem(actor app.Actor) error {
	if actor.Kind == app.ActorSystem {
		return nil
	}
	return forbidden()
}

// onlyOperator refuses all but a person: an operator's key has no sessions.
func onlyOperator(actor app.Actor) error {
	if actor.Kind == app.ActorOperator && actor.KeyID == "" {
		return nil
	}
	return forbidden()
}

func forbidden() error {
	return &app.Error{Kind: app.KindForbidden, Code: "forbidden", Message: "This credential may not do that.",
		Advice: "Sign in as an operator, or use a credential with the right scope."}
}
