package console

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/web/ui"
)

// A new key's secret travels from the form that made it to the page that shows
// it in a cookie: sealed with the installation's key, bound to the session and
// to the key, for that page's path alone, for a minute. So a reload does not
// make a second key, every replica can show it, no server keeps it, and going
// back shows nothing.
const (
	cookieSecret = "gh_secret"
	secretLife   = time.Minute
)

// oneTime is what the cookie holds.
type oneTime struct {
	Secret string    `json:"secret"`
	Old    string    `json:"old,omitempty"`
	Until  time.Time `json:"until"`
}

func secretPurpose(v *visit, id app.KeyID) string {
	return "console_secret:" + v.visitor.Session.ID() + ":" + string(id)
}

// showOnce sends the browser to the page that shows the minted key's secret.
func (s *site) showOnce(v *visit, slug string, minted app.MintedKey, old string) error {
	plain, err := json.Marshal(oneTime{Secret: minted.Secret, Old: old, Until: v.now.Add(secretLife)})
	if err != nil {
		return err
	}
	sealed := s.Sealer.Seal(secretPurpose(v, minted.ID), plain)
	path := ui.Key(slug, minted.ID, "secret")
	v.setCookie(cookieSecret, base64.RawURLEncoding.EncodeToString(sealed), path, secretLife)
	return v.redirect(path)
}

// secret shows a new key, once.
func (s *site) secret(v *visit) error {
	of, key, err := s.key(v)
	if err != nil {
		return err
	}
	held := s.takeSecret(v, key.ID)
	v.setCookie(cookieSecret, "", ui.Key(of.slug, key.ID, "secret"), 0)
	view := secretView{Page: s.page(v, "New key", of.nav()), Slug: of.slug, Name: key.Name, Secret: held.Secret, Old: held.Old, Back: ui.Keys(of.slug),
		Facts: s.keyFacts(v, key)}
	view.Try = `curl -i -H "Authorization: Bearer $KEY" ` + s.About.Gateway + "/"
	if of.org == nil {
		view.Try = `curl -H "Authorization: Bearer $KEY" ` + consoleAddress(v) + "/v1/orgs"
	}
	v.secret = true
	return v.render(secretPage(view))
}

// keyFacts says in one line what a key opens, from where, and until when.
func (s *site) keyFacts(v *visit, key app.Key) string {
	scopes, from, until := "No scopes", "from any address", "never expires"
	if len(key.Scopes) > 0 {
		scopes = "Scopes: " + strings.Join(key.Scopes, ", ")
	}
	if len(key.CIDRs) > 0 {
		from = "from " + addressesOf(key)
	}
	if !key.ExpiresAt.IsZero() {
		until = "until " + ui.DateTime(key.ExpiresAt, v.zone) + " (" + v.zone.String() + ")"
	}
	return scopes + " · " + from + " · " + until
}

// takeSecret opens what showOnce sealed; nothing when there is nothing, or it
// is somebody else's, another key's, or too old.
func (s *site) takeSecret(v *visit, id app.KeyID) (held oneTime) {
	cookie, err := v.r.Cookie(cookieSecret)
	if err != nil {
		return held
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return held
	}
	plain, err := s.Sealer.Open(secretPurpose(v, id), sealed)
	if err != nil || json.Unmarshal(plain, &held) != nil || !v.now.Before(held.Until) {
		return oneTime{}
	}
	return held
}

func consoleAddress(v *visit) string {
	scheme := "http://"
	if v.site.About.Secure || v.r.TLS != nil {
		scheme = "https://"
	}
	return scheme + v.r.Host
}
