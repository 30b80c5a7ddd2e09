package console

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/app/keys"
	"gatehouse/web/ui"
)

// owner is whose keys a page is about: an organization's, or the operator's
// own when org is nil.
type owner struct {
	org  *app.Org
	id   app.OrgID
	slug string
	name string
}

func (s *site) owner(v *visit) (owner, error) {
	if v.r.PathValue("org") == "" {
		return owner{name: "the operator"}, nil
	}
	o, err := s.org(v)
	return owner{org: &o, id: o.ID, slug: o.Slug, name: o.Name}, err
}

func (o owner) nav() string {
	if o.org == nil {
		return "system"
	}
	return "orgs"
}

func (s *site) keys(v *visit) error {
	of, err := s.owner(v)
	if err != nil {
		return err
	}
	search, state, cursor := v.query("q"), v.query("state"), v.query("after")
	list, err := s.Keys.List(v.ctx(), v.actor, of.id, app.Page{Search: strings.TrimSpace(search), Filter: state, Cursor: cursor})
	if err != nil {
		return err
	}
	view := keysView{Page: s.page(v, "Keys of "+of.name, of.nav()), Slug: of.slug, Search: search, Status: keyStateFilter(state), Table: s.keyTable(v, of.slug, list.Items),
		Pager: ui.Pager{Text: fmt.Sprintf("%d on this page, newest first · times in %s", len(list.Items), v.zone)}}
	if of.org != nil {
		head := s.orgHead(v, *of.org, "keys")
		view.Head = &head
	}
	if search != "" || state != "" {
		view.Table.Empty = ui.Empty{Icon: "search", Title: "No key matches", Text: "Try another name or state.", Href: ui.Keys(of.slug), Link: "Show all keys"}
	}
	if cursor != "" {
		view.Pager.First = ui.With(ui.Keys(of.slug), "q", search, "state", state)
	}
	if list.Next != "" {
		view.Pager.Next = ui.With(ui.Keys(of.slug), "q", search, "state", state, "after", list.Next)
	}
	return v.render(keysPage(view))
}

func keyStateFilter(value string) ui.Select {
	return ui.Select{Name: "state", Label: "State", Value: value, Apply: true, Options: []ui.Option{{Label: "Any state"},
		{Value: string(app.KeyStateActive), Label: "Active"}, {Value: string(app.KeyStateExpired), Label: "Expired"}, {Value: string(app.KeyStateRevoked), Label: "Revoked"}}}
}

func (s *site) keyTable(v *visit, slug string, list []app.Key) keyTable {
	table := keyTable{Slug: slug, Empty: ui.Empty{Icon: "key", Title: "No key yet", Text: "A key identifies the requests of this organization. It is shown once, when it is made.",
		ID: "keys-command", Command: "gatehouse key create --org " + slug + " --name production", Href: ui.NewKey(slug), Link: "Create key"}}
	if slug == "" {
		table.Empty.Text, table.Empty.Command = "An operator key lets a machine of yours use the management API at /v1.", "gatehouse key create --operator --name ci"
	}
	for _, k := range list {
		row := keyRow{ID: string(k.ID), Name: k.Name, Hint: k.Hint, Scopes: strings.Join(k.Scopes, ", "), Addresses: addressesOf(k), Used: v.moment(k.LastUsedAt),
			Expires: s.expiryOf(v, k), State: keyState(k, v.now)}
		if row.Scopes == "" {
			row.Scopes = ui.Dash
		}
		switch k.State(v.now) {
		case app.KeyStateActive:
			row.Rotate = ui.Key(slug, k.ID, "rotate")
			row.Revoke = ui.Key(slug, k.ID, "revoke")
		case app.KeyStateRotated:
			row.Revoke = ui.Key(slug, k.ID, "revoke")
		}
		table.Rows = append(table.Rows, row)
	}
	return table
}

func addressesOf(k app.Key) string {
	if len(k.CIDRs) == 0 {
		return "Any"
	}
	var all []string
	for _, prefix := range k.CIDRs {
		all = append(all, prefix.String())
	}
	return strings.Join(all, ", ")
}

// expiryOf says when a key ends; one that ends within two days by how long it has left.
func (s *site) expiryOf(v *visit, k app.Key) string {
	left := k.ExpiresAt.Sub(v.now)
	switch {
	case k.ExpiresAt.IsZero():
		return "Never"
	case left > 0 && left < 48*time.Hour:
		return "In " + ui.Span(left.Truncate(time.Minute))
	}
	return ui.DateTime(k.ExpiresAt, v.zone)
}

func keyState(k app.Key, now time.Time) ui.State {
	switch k.State(now) {
	case app.KeyStateRevoked:
		return ui.State{Text: "Revoked", Tone: "bad"}
	case app.KeyStateExpired:
		return ui.State{Text: "Expired", Tone: "off"}
	case app.KeyStateRotated:
		return ui.State{Text: "Rotated, in grace", Tone: "warn"}
	}
	return ui.State{Text: "Active"}
}

func (s *site) newKey(v *visit) error {
	of, err := s.owner(v)
	if err != nil {
		return err
	}
	if ok, err := s.mayMint(v, of); !ok {
		return err
	}
	view := s.newKeyView(v, of)
	view.Name.Focus = true
	return v.render(newKeyPage(view))
}

// mayMint asks for the password before an operator's key is made: it opens
// everything. If not, it has answered.
func (s *site) mayMint(v *visit, of owner) (bool, error) {
	if of.org != nil {
		return true, nil
	}
	return s.reauthed(v)
}

// lives are the expiries that the form offers, in days.
var lives = []ui.Option{{Value: "", Label: "Never"}, {Value: "7", Label: "In 7 days"}, {Value: "30", Label: "In 30 days"},
	{Value: "90", Label: "In 90 days"}, {Value: "365", Label: "In a year"}}

func (s *site) newKeyView(v *visit, of owner) newKeyView {
	view := newKeyView{Page: s.page(v, "New key of "+of.name, of.nav()), Slug: of.slug, Owner: of.name,
		Name: ui.Field{Name: "name", Label: "Name", Value: v.r.PostFormValue("name"), Placeholder: "production", Autocomplete: "off", Hint: "What uses it, so that you know it again."},
		Scopes: ui.Field{Name: "scopes", Label: "Scopes", Value: v.r.PostFormValue("scopes"), Optional: true, Mono: true, Placeholder: "agents:run files:*", Max: 2000, Autocomplete: "off",
			Hint: "What routes with required scopes ask for, with spaces between. Without any, it opens only what asks for none; * opens everything."},
		Addresses: ui.Field{Name: "cidrs", Label: "Addresses", Value: v.r.PostFormValue("cidrs"), Optional: true, Mono: true, Placeholder: "10.20.0.0/16 2001:db8::1", Max: 2000, Autocomplete: "off",
			Hint: "Where it may be used from, with spaces between. From anywhere if left empty."},
		Expires: ui.Select{Name: "expires", Label: "Expires", Value: v.form("expires"), Options: lives}}
	if of.org != nil {
		env := ui.Select{Name: "env", Label: "Environment", Value: v.form("env"), Options: []ui.Option{
			{Value: keys.EnvLive, Label: "Live", Note: "gk_live_…"}, {Value: keys.EnvTest, Label: "Test", Note: "gk_test_…"}}}
		if env.Value == "" {
			env.Value = keys.EnvLive
		}
		view.Env = &env
		return view
	}
	view.Scopes.Placeholder, view.Scopes.Optional = "orgs:read usage:read", false
	view.Scopes.Hint = "What it may do in the management API, such as orgs:read, orgs:write, keys:write, usage:read; * allows everything."
	return view
}

func (s *site) createKey(v *visit) error {
	of, err := s.owner(v)
	if err != nil {
		return err
	}
	if ok, err := s.mayMint(v, of); !ok {
		return err
	}
	in, wrong := readKey(v, of)
	var minted app.MintedKey
	if wrong == nil {
		minted, err = s.Keys.Mint(v.ctx(), v.actor, in)
		if app.IsKind(err, app.KindInvalid) {
			wrong = app.AsError(err)
		} else if err != nil {
			return err
		}
	}
	if wrong != nil {
		view := s.newKeyView(v, of)
		if rest := placeErrors(wrong, &view.Name, &view.Scopes, &view.Addresses); rest != "" {
			view.Notice = &ui.Notice{Tone: "bad", Text: rest}
		}
		return v.renderStatus(http.StatusUnprocessableEntity, newKeyPage(view))
	}
	return s.showOnce(v, of.slug, minted, "")
}

// readKey reads the form of a new key.
func readKey(v *visit, of owner) (keys.New, *app.Error) {
	in := keys.New{Org: of.id, Name: v.form("name"), Env: v.form("env"), Scopes: words(v.form("scopes"))}
	for _, text := range words(v.form("cidrs")) {
		prefix, err := readPrefix(text)
		if err != nil {
			return in, app.Invalid("cidrs", "%q is not an address or a range such as 10.20.0.0/16", text)
		}
		in.CIDRs = append(in.CIDRs, prefix)
	}
	switch v.form("expires") {
	case "7", "30", "90", "365":
		days, _ := time.ParseDuration(v.form("expires") + "h") // one of the above: it parses
		in.ExpiresAt = v.now.Add(days * 24)
	}
	return in, nil
}

func readPrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Prefix(addr.BitLen())
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err
}

// words splits at spaces, commas and new lines.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\r' || r == '\t' })
}

// graces are the times that a rotated key can go on.
var graces = []ui.Option{{Value: "0s", Label: "Not at all", Note: "the old key ends now"}, {Value: "1h", Label: "1 hour"},
	{Value: "24h", Label: "24 hours"}, {Value: "168h", Label: "7 days"}, {Value: "720h", Label: "30 days", Note: "the longest"}}

func (s *site) askRotate(v *visit) error {
	of, key, err := s.key(v)
	if err != nil {
		return err
	}
	return v.render(rotatePage(rotateView{Page: s.page(v, "Rotate "+key.Name, of.nav()), Slug: of.slug, Name: key.Name, Hint: key.Hint,
		Act: ui.Key(of.slug, key.ID, "rotate"), Grace: ui.Select{Name: "grace", Label: "The old key goes on for", Value: "24h", Options: graces}}))
}

// key finds the key that the address names, of the owner that it names.
func (s *site) key(v *visit) (owner, app.Key, error) {
	of, err := s.owner(v)
	if err != nil {
		return of, app.Key{}, err
	}
	key, err := s.Keys.Find(v.ctx(), v.actor, of.id, app.KeyID(v.r.PathValue("key")))
	return of, key, err
}

func (s *site) rotate(v *visit) error {
	of, key, err := s.key(v)
	if err != nil {
		return err
	}
	if ok, err := s.mayMint(v, of); !ok {
		return err
	}
	grace, err := time.ParseDuration(v.form("grace"))
	if err != nil {
		return app.Invalid("grace", "must be one of the offered times")
	}
	minted, err := s.Keys.Rotate(v.ctx(), v.actor, of.id, key.ID, grace)
	if err != nil {
		return err
	}
	old := "The old key, " + key.Hint + ", has ended."
	if grace > 0 {
		old = "The old key, " + key.Hint + ", goes on for " + ui.Span(grace) + "."
	}
	return s.showOnce(v, of.slug, minted, old)
}

func (s *site) askRevoke(v *visit) error { return s.revokeSheet(v, "", http.StatusOK) }

func (s *site) revokeSheet(v *visit, wrong string, status int) error {
	of, key, err := s.key(v)
	if err != nil {
		return err
	}
	confirm := ui.Confirm{Title: "Revoke “" + key.Name + "”", Button: "Revoke", Destroy: true, Name: key.Name, NameIs: "name", Wrong: wrong,
		Action: ui.Key(of.slug, key.ID, "revoke"), Back: ui.Keys(of.slug),
		Lines: []string{"Requests with " + key.Hint + " are refused from now on, on every replica within a second. This cannot be undone; to replace a key without a gap, rotate it instead."}}
	crumb := ui.Choice{Label: "Keys of " + of.name, Href: ui.Keys(of.slug)}
	return v.renderStatus(status, confirmPage(confirmView{Page: s.page(v, confirm.Title, of.nav()), Crumb: crumb, Here: "revoke", Confirm: confirm}))
}

func (s *site) revoke(v *visit) error {
	of, key, err := s.key(v)
	if err != nil {
		return err
	}
	if v.form("confirm") != strings.TrimSpace(key.Name) {
		return s.revokeSheet(v, "That is not the name.", http.StatusUnprocessableEntity)
	}
	if _, err := s.Keys.Revoke(v.ctx(), v.actor, of.id, key.ID); err != nil {
		return err
	}
	v.tell("The key is revoked. Requests with it are refused from now on.")
	return v.redirect(ui.Keys(of.slug))
}
