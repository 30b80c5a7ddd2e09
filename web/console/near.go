package console

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"

	"gatehouse/app"
	"gatehouse/web/ui"
)

const (
	nearFrom    = 80               // per cent of a quota from which it is listed: where the ladder first tells
	nearShown   = 6                // quotas that the overview lists
	nearAll     = 200              // quotas that it lists when asked for all
	nearEvery   = 3 * time.Second  // how old the list may be
	nearWhole   = time.Minute      // how long a limit that was lowered may go unseen while nothing is used
	nearOverlap = 10 * time.Second // clocks of replicas differ, and commits come late
	nearPage    = 1000             // accounts read at once
	nearPages   = 20               // pages that one look reads at most; the next goes on
)

// nearWatch knows the accounts that are near their limit. It reads each
// account once, and then those that changed: so it costs what is used, not
// what there is.
type nearWatch struct {
	mu       sync.Mutex
	looked   time.Time // at what changed
	weighed  time.Time // every account against its limit
	since    int64     // Unix milliseconds: what changed before was read
	behind   bool      // there is more to read
	accounts map[app.Account]*nearAccount
}

// nearAccount is an account whose period is not over, and its quota.
type nearAccount struct {
	app.AccountState
	quota app.Quota
	near  bool
}

func (a *nearAccount) percent() int64 { return ui.PercentOf(a.Used(), a.quota.Limit) }

// look returns the accounts near their limit, the fullest first, and whether
// some were not read yet.
func (w *nearWatch) look(ctx context.Context, s *site) (list []nearAccount, behind bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := s.Now()
	if w.behind || now.Sub(w.looked) >= nearEvery || now.Before(w.looked) {
		if err := w.read(ctx, s, now); err != nil {
			return nil, false, err
		}
		w.looked = now
	}
	for _, a := range w.accounts {
		if a.near {
			list = append(list, *a)
		}
	}
	slices.SortFunc(list, func(x, y nearAccount) int {
		return cmp.Or(cmp.Compare(y.percent(), x.percent()), x.Compare(&y.Account))
	})
	return list, w.behind, nil
}

// read takes in the accounts that changed, and forgets those whose period is over.
func (w *nearWatch) read(ctx context.Context, s *site, now time.Time) error {
	if w.accounts == nil {
		w.accounts = map[app.Account]*nearAccount{}
	}
	w.behind = true
	most := nearPage
	for from, page := w.since-nearOverlap.Milliseconds(), 0; page < nearPages; page++ {
		list, err := s.QuotaAccounts.AccountsUpdated(ctx, from, most)
		if err != nil {
			return err
		}
		for _, a := range list {
			w.since = max(w.since, a.UpdatedAt.UnixMilli())
			if err := w.take(ctx, s, a, now); err != nil {
				return err
			}
		}
		if len(list) < most {
			w.behind = false
			break
		}
		if w.since <= from { // more changed in this millisecond than one page holds
			most *= 2
		}
		from = w.since
	}
	return w.weigh(ctx, s, now)
}

func (w *nearWatch) take(ctx context.Context, s *site, state app.AccountState, now time.Time) error {
	if state.End != 0 && state.End <= now.UnixMilli() {
		return nil
	}
	known := w.accounts[state.Account]
	if known == nil {
		known = &nearAccount{}
		w.accounts[state.Account] = known
	}
	known.AccountState = state
	return known.compare(ctx, s)
}

// compare finds the account's quota as it is now.
func (a *nearAccount) compare(ctx context.Context, s *site) (err error) {
	var ok bool
	a.quota, ok, err = s.QuotaOf(ctx, a.Account)
	a.near = ok && a.Used() > 0 && a.percent() >= nearFrom
	return err
}

// weigh looks again at the accounts that are near, whose limit may have been
// raised, and now and then at every one, whose limit may have been lowered.
func (w *nearWatch) weigh(ctx context.Context, s *site, now time.Time) error {
	whole := now.Sub(w.weighed) >= nearWhole
	for name, a := range w.accounts {
		if a.End != 0 && a.End <= now.UnixMilli() {
			delete(w.accounts, name)
			continue
		}
		if a.near || whole {
			if err := a.compare(ctx, s); err != nil {
				return err
			}
		}
	}
	if whole {
		w.weighed = now
	}
	return nil
}

// nearView lists the fullest quotas of all organizations.
func (s *site) nearView(ctx context.Context, v *visit, all bool) (*nearView, error) {
	if s.QuotaAccounts == nil || s.QuotaOf == nil {
		return nil, nil
	}
	list, behind, err := s.near.look(ctx, s)
	if err != nil {
		return nil, err
	}
	shown := nearShown
	if all {
		shown = nearAll
	}
	view := &nearView{More: int64(max(len(list)-shown, 0)), Whole: all, Behind: behind}
	meters, err := s.meters(v)
	if err != nil {
		return nil, err
	}
	for _, a := range list[:min(len(list), shown)] {
		row, err := s.nearRow(ctx, v, a, meters)
		if err != nil {
			return nil, err
		}
		view.Rows = append(view.Rows, row)
	}
	return view, nil
}

func (s *site) nearRow(ctx context.Context, v *visit, a nearAccount, meters []app.Meter) (nearRow, error) {
	o, err := s.Orgs.Find(ctx, v.actor, string(a.Org))
	if app.IsKind(err, app.KindNotFound) { // deleted a moment ago
		o, err = app.Org{Slug: string(a.Org), Name: string(a.Org)}, nil
	}
	if err != nil {
		return nearRow{}, err
	}
	state, err := s.quotaState(ctx, v, o, a)
	if err != nil {
		return nearRow{}, err
	}
	zone := s.planZone(ctx, v, o)
	card := quotaCardOf(s.Now(), zone, state, meters)
	row := nearRow{Name: o.Name, Href: ui.Org(o.Slug, "quotas") + "#" + quotaAnchor(a.Key, a.Meter, a.Period), Fuse: card.Fuse,
		Meter: card.Title + " a " + periodWords(string(a.Period)), Forecast: strings.Replace(card.Forecast, "At this pace exhausted on", "Lasts until", 1), Tone: card.Tone}
	if a.Key != "" {
		row.Meter += ", one key"
	}
	return row, nil
}

// quotaState is the quota as its organization's page shows it, with the
// forecast; of one that has gone meanwhile, what is known.
func (s *site) quotaState(ctx context.Context, v *visit, o app.Org, a nearAccount) (app.QuotaState, error) {
	known := app.QuotaState{Quota: a.quota, Key: a.Key, Used: a.Used(), Reserved: a.Reserved()}
	states, err := s.Quotas.Quotas(ctx, v.actor, o.Slug)
	if app.IsKind(err, app.KindNotFound) {
		return known, nil
	}
	for _, q := range states {
		if q.Key == a.Key && q.Same(a.quota) {
			return q, err
		}
	}
	return known, err
}

// nearParts is what the stream renews of the overview's list.
func (s *site) nearParts(ctx context.Context, v *visit) (map[string]templ.Component, error) {
	view, err := s.nearView(ctx, v, false)
	if view == nil {
		return nil, err
	}
	return map[string]templ.Component{"list": nearList(*view)}, nil
}
