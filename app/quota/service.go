package quota

import (
	"context"
	"math/big"
	"slices"
	"strings"
	"time"

	"gatehouse/app"
)

// Scopes of quotas.
const (
	ScopeRead  = "quotas:read"
	ScopeWrite = "quotas:write"
)

// OverrideStore keeps overrides.
type OverrideStore interface {
	QuotaOverrides(ctx context.Context, org app.OrgID) ([]app.QuotaOverride, error)
	PutQuotaOverride(ctx context.Context, o app.QuotaOverride) error
	DeleteQuotaOverride(ctx context.Context, org app.OrgID, key app.KeyID, meter string, period app.QuotaPeriod) error
}

// StateStore reads accounts and notices.
type StateStore interface {
	AccountStates(ctx context.Context, org app.OrgID, at time.Time) ([]app.AccountState, error)
	Notices(ctx context.Context, org app.OrgID, p app.Page) (app.List[app.QuotaNotice], error)
}

// Service shows quotas, and lets operators override a plan's.
type Service struct {
	Overrides OverrideStore
	States    StateStore
	Orgs      Orgs
	Books     func(ctx context.Context, org app.OrgID) (*Book, error)
	Opening   func(ctx context.Context, a app.Account) (int64, error)   // what was used in the account's period so far; nil: nothing
	Meter     func(ctx context.Context, slug string) (app.Meter, error) // nil: every meter is known
	Now       func() time.Time
}

// own finds the organization for whom an actor asks: its own, or for an
// operator with the scope any.
func (s *Service) own(ctx context.Context, actor app.Actor, idOrSlug, scope string) (app.Org, error) {
	if actor.OrgID != "" && (actor.Kind == app.ActorKey || actor.Kind == app.ActorUser) && scope == ScopeRead {
		o, err := s.Orgs.Org(ctx, actor.OrgID)
		if err == nil && idOrSlug != "" && idOrSlug != string(o.ID) && idOrSlug != o.Slug {
			return app.Org{}, app.NotFound("organization")
		}
		return o, err
	}
	if err := actor.Require(scope); err != nil {
		return app.Org{}, err
	}
	if strings.HasPrefix(idOrSlug, "org_") {
		return s.Orgs.Org(ctx, app.OrgID(idOrSlug))
	}
	return s.Orgs.OrgBySlug(ctx, idOrSlug)
}

// Quotas shows how each quota of an organization and of its keys stands now.
// An organization's own key or user may leave the name out.
func (s *Service) Quotas(ctx context.Context, actor app.Actor, idOrSlug string) ([]app.QuotaState, error) {
	o, err := s.own(ctx, actor, idOrSlug, ScopeRead)
	if err != nil {
		return nil, err
	}
	book, err := s.Books(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	accounts, err := s.States.AccountStates(ctx, o.ID, now)
	if err != nil {
		return nil, err
	}
	list := []app.QuotaState{}
	for _, slot := range book.slots() {
		state, err := s.state(ctx, slot, accounts, now)
		if err != nil {
			return nil, err
		}
		list = append(list, state)
	}
	return list, nil
}

// slots lists every quota of the book: the organization's, then the keys'.
func (b *Book) slots() (list []slot) {
	add := func(key app.KeyID, quotas []app.Quota) {
		line := Line{book: b}
		for _, q := range quotas {
			line.add(key, []app.Quota{q}, []string{q.Meter})
		}
		list = append(list, line.slots...)
	}
	add("", b.own)
	keys := make([]app.KeyID, 0, len(b.keys))
	for key := range b.keys {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		add(key, b.keys[key])
	}
	return list
}

func (s *Service) state(ctx context.Context, slot slot, accounts []app.AccountState, now time.Time) (app.QuotaState, error) {
	account := slot.account(now.UnixMilli())
	state := app.QuotaState{Quota: slot.quota, Key: slot.key, Hard: slot.hard(), Ceiling: slot.quota.Ceiling()}
	if account.End != 0 {
		state.Start, state.ResetsAt = time.UnixMilli(account.Start).UTC(), time.UnixMilli(account.End).UTC()
	}
	i := slices.IndexFunc(accounts, func(a app.AccountState) bool { return a.Account == account })
	switch {
	case i >= 0 && !accounts[i].OpenedAt.IsZero():
		state.Used, state.Reserved = accounts[i].Used(), accounts[i].Reserved()
	case s.Opening != nil: // nobody asked for it yet
		used, err := s.Opening(ctx, account)
		if err != nil {
			return state, err
		}
		state.Used = used
		if i >= 0 {
			state.Reserved = accounts[i].Reserved()
		}
	}
	state.Left, state.ExhaustedAt = state.Rest(), exhaustion(state, now)
	return state, nil
}

// exhaustion is when the limit is reached if usage goes on as in the period so
// far; zero when it is not before the period ends, or nothing was used.
func exhaustion(s app.QuotaState, now time.Time) time.Time {
	passed := now.Sub(s.Start)
	if s.Start.IsZero() || s.Used <= 0 || passed <= 0 {
		return time.Time{}
	}
	if s.Used >= s.Limit {
		return now.UTC().Truncate(time.Second)
	}
	// start + passed·limit/used, in numbers that do not overflow.
	whole := new(big.Int).Mul(big.NewInt(int64(passed)), big.NewInt(s.Limit))
	whole.Quo(whole, big.NewInt(s.Used))
	if !whole.IsInt64() {
		return time.Time{}
	}
	if at := s.Start.Add(time.Duration(whole.Int64())).Truncate(time.Second); at.Before(s.ResetsAt) {
		return at
	}
	return time.Time{}
}

// Find lists an organization's overrides.
func (s *Service) Find(ctx context.Context, actor app.Actor, idOrSlug string) ([]app.QuotaOverride, error) {
	o, err := s.own(ctx, actor, idOrSlug, ScopeRead)
	if err != nil {
		return nil, err
	}
	return s.Overrides.QuotaOverrides(ctx, o.ID)
}

// Put adds an override of the organization, or replaces the one of its key,
// meter and period. It holds from the next request on, on other nodes within
// a second.
func (s *Service) Put(ctx context.Context, actor app.Actor, idOrSlug string, override app.QuotaOverride) (app.QuotaOverride, error) {
	o, err := s.own(ctx, actor, idOrSlug, ScopeWrite)
	if err != nil {
		return app.QuotaOverride{}, err
	}
	if wrong := override.Check(); len(wrong) > 0 {
		return app.QuotaOverride{}, app.InvalidFields(wrong)
	}
	if !override.Unlimited { // which takes a quota away, of whatever meter
		if err := checkMeter(ctx, s.Meter, override.Meter); err != nil {
			return app.QuotaOverride{}, err
		}
	}
	override.Org, override.UpdatedBy = o.ID, actor.String()
	override.UpdatedAt = s.Now().UTC().Truncate(time.Millisecond)
	return override, s.Overrides.PutQuotaOverride(ctx, override)
}

// Delete takes an override away: what the plan says holds again.
func (s *Service) Delete(ctx context.Context, actor app.Actor, idOrSlug string, key app.KeyID, meter string, period app.QuotaPeriod) error {
	o, err := s.own(ctx, actor, idOrSlug, ScopeWrite)
	if err != nil {
		return err
	}
	return s.Overrides.DeleteQuotaOverride(ctx, o.ID, key, meter, period)
}

// Notices lists what the ladder told, newest first: of one organization, or
// for an operator who names none of all.
func (s *Service) Notices(ctx context.Context, actor app.Actor, idOrSlug string, page app.Page) (app.List[app.QuotaNotice], error) {
	if idOrSlug == "" && actor.MayManage(ScopeRead) {
		return s.States.Notices(ctx, "", page)
	}
	o, err := s.own(ctx, actor, idOrSlug, ScopeRead)
	if err != nil {
		return app.List[app.QuotaNotice]{}, err
	}
	return s.States.Notices(ctx, o.ID, page)
}
