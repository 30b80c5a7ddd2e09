package routing_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gatehouse/app"
	"gatehouse/app/routing"
	"gatehouse/store"
	"gatehouse/store/storetest/each"
)

const secret = "sk-test-0123456789abcdefWXYZ"

func vendor(change func(*app.Upstream)) routing.Set {
	u := app.Upstream{Name: "vendor", Addresses: []string{"https://api.example.com"},
		Credential: &app.Credential{Header: "Authorization", Prefix: "Bearer ", Secret: secret}}
	if change != nil {
		change(&u)
	}
	return routing.Set{Upstreams: []app.Upstream{u}}
}

// kept leaves the secret out, as who reads an upstream and writes it back.
func kept(u *app.Upstream) { u.Credential.Secret = "" }

func sealer(t *testing.T) *app.Sealer {
	t.Helper()
	s, err := app.NewSealer(bytes.Repeat([]byte{7}, app.SealKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCredentialsAreSealedAndNeverShown(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		seals := sealer(t)
		s := &routing.Service{Store: db, Sealer: seals}
		set := vendor(func(u *app.Upstream) { u.Credential.Hint = secret }) // a hint is not for the caller to choose
		if _, err := s.Apply(t.Context(), operator, set, false); err != nil {
			t.Fatal(err)
		}
		list, err := s.Upstreams(t.Context(), operator)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		u := list[0]
		if c := *u.Credential; c.Hint != "WXYZ" || c.Secret != "" || bytes.Contains(c.Sealed, []byte(secret)) {
			t.Errorf("stored as %+v", c)
		}
		opened, err := seals.Open(app.CredentialPurpose("vendor"), u.Credential.Sealed)
		if err != nil || string(opened) != secret {
			t.Errorf("opened %q, %v", opened, err)
		}
		if _, err := seals.Open(app.CredentialPurpose("other"), u.Credential.Sealed); err == nil {
			t.Error("it opens for another upstream")
		}
		raw, _ := json.Marshal(u)
		var log bytes.Buffer
		given := *set.Upstreams[0].Credential
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "credential", given, "pointer", &given)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "credential", given, "pointer", &given)
		for how, text := range map[string]string{"JSON": string(raw), "the log": log.String(), "%v": fmt.Sprint(given, &given),
			"%+v": fmt.Sprintf("%+v %+v %s", given, &given, given), "%#v": fmt.Sprintf("%#v %#v", given, &given), "an upstream": fmt.Sprintf("%+v %#v", set.Upstreams[0], set)} {
			if strings.Contains(text, secret) || strings.Contains(text, "sk-test") {
				t.Errorf("%s shows it: %s", how, text)
			}
		}
		if want := `"credential":{"header":"Authorization","prefix":"Bearer ","hint":"WXYZ"}`; !strings.Contains(string(raw), want) {
			t.Errorf("JSON is %s", raw)
		}
	})
}

func TestKeepingAndChangingACredential(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		seals := sealer(t)
		s := &routing.Service{Store: db, Sealer: seals}
		holds := func() string {
			u, err := db.Upstream(t.Context(), "vendor")
			if err != nil || u.Credential == nil {
				return ""
			}
			opened, err := seals.Open(app.CredentialPurpose("vendor"), u.Credential.Sealed)
			if err != nil {
				t.Fatal(err)
			}
			return string(opened)
		}
		both := func(a, b func(*app.Upstream)) func(*app.Upstream) { return func(u *app.Upstream) { a(u); b(u) } }
		for _, step := range []struct {
			name   string
			change func(*app.Upstream)
			want   string // created, updated, unchanged or a code
			holds  string
		}{
			{"a first one needs its secret", kept, "invalid_input", ""},
			{"given", nil, "created", secret},
			{"given again", nil, "unchanged", secret},
			{"kept", kept, "unchanged", secret},
			{"another with the same end", func(u *app.Upstream) { u.Credential.Secret = "sk-other-WXYZ-0123WXYZ" }, "updated", "sk-other-WXYZ-0123WXYZ"},
			{"back", nil, "updated", secret},
			{"kept with another setting", both(kept, func(u *app.Upstream) { u.MaxConnections = 5 }), "updated", secret},
			{"sent elsewhere", both(kept, func(u *app.Upstream) { u.Addresses = []string{"https://evil.example"} }), "invalid_input", secret},
			{"sent elsewhere too", both(kept, func(u *app.Upstream) { u.Addresses = append(u.Addresses, "https://evil.example") }), "invalid_input", secret},
			{"sent to another port", both(kept, func(u *app.Upstream) { u.Addresses = []string{"https://api.example.com:8443"} }), "invalid_input", secret},
			{"sent to another host", both(kept, func(u *app.Upstream) { u.HostHeader = "evil.example" }), "invalid_input", secret},
			{"sent inwards", both(kept, func(u *app.Upstream) { u.AllowPrivate = true }), "invalid_input", secret},
			{"sent in another header", both(kept, func(u *app.Upstream) { u.Credential.Header = "X-Debug" }), "invalid_input", secret},
			{"sent elsewhere by who knows it", func(u *app.Upstream) { u.Addresses = append(u.Addresses, "https://api2.example.com") }, "updated", secret},
			{"to one place less", kept, "updated", secret},
			{"inwards by who knows it", func(u *app.Upstream) { u.AllowPrivate = true }, "updated", secret},
			{"without proof of identity", both(kept, func(u *app.Upstream) { u.AllowPrivate, u.InsecureSkipVerify = true, true }), "invalid_input", secret},
			{"taken away", func(u *app.Upstream) { u.Credential = nil }, "updated", ""},
			{"and not kept", kept, "invalid_input", ""},
		} {
			done, err := s.Apply(t.Context(), operator, vendor(step.change), false)
			got := result(err)
			switch {
			case len(done.Upstreams.Created) == 1:
				got = "created"
			case len(done.Upstreams.Updated) == 1:
				got = "updated"
			case len(done.Upstreams.Unchanged) == 1:
				got = "unchanged"
			}
			if now := holds(); got != step.want || now != step.holds {
				t.Errorf("%s: got %s, holds %q, %v, want %s, %q", step.name, got, now, err, step.want, step.holds)
			}
			if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, app.AsError(err)), secret) {
				t.Errorf("%s: the error shows the secret", step.name)
			}
		}
	})
}

func TestACredentialNeedsASealer(t *testing.T) {
	each.Store(t, func(t *testing.T, db *store.Store) {
		s := &routing.Service{Store: db}
		if _, err := s.Apply(t.Context(), operator, vendor(nil), false); result(err) != "invalid_input" {
			t.Errorf("got %v", err)
		}
		if list, _ := s.Upstreams(t.Context(), operator); len(list) != 0 {
			t.Errorf("stored %+v", list)
		}
	})
}

func TestWhereACredentialMayGo(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*app.Upstream)
		ok     bool
	}{
		{"a public name", nil, true},
		{"a public address", func(u *app.Upstream) { u.Addresses = []string{"https://1.1.1.1"} }, true},
		{"without TLS", func(u *app.Upstream) { u.Addresses = []string{"http://api.example.com"} }, false},
		{"loopback", func(u *app.Upstream) { u.Addresses = []string{"https://127.0.0.1"} }, false},
		{"localhost", func(u *app.Upstream) { u.Addresses = []string{"https://LocalHost:1"} }, false},
		{"private", func(u *app.Upstream) { u.Addresses = []string{"https://10.1.2.3"} }, false},
		{"metadata", func(u *app.Upstream) { u.Addresses = []string{"https://api.example.com", "https://169.254.169.254"} }, false},
		{"IPv6 loopback", func(u *app.Upstream) { u.Addresses = []string{"https://[::1]:1"} }, false},
		{"a mapped one", func(u *app.Upstream) { u.Addresses = []string{"https://[::ffff:10.0.0.1]"} }, false},
		{"unverified", func(u *app.Upstream) { u.InsecureSkipVerify = true }, false},
		{"allowed", func(u *app.Upstream) { u.AllowPrivate, u.Addresses = true, []string{"http://127.0.0.1:1"} }, true},
		{"without a credential", func(u *app.Upstream) { u.Credential, u.Addresses = nil, []string{"http://127.0.0.1:1"} }, true},
		{"a header of ours", func(u *app.Upstream) { u.Credential.Header = "X-Gatehouse-Org" }, false},
		{"a line break", func(u *app.Upstream) { u.Credential.Secret = "a\r\nX: y" }, false},
		{"too long", func(u *app.Upstream) { u.Credential.Secret = strings.Repeat("x", app.MaxSecretLength+1) }, false},
	} {
		if wrong := vendor(row.change).Check(); (len(wrong) == 0) != row.ok {
			t.Errorf("%s: %+v", row.name, wrong)
		}
	}
	for secret, hint := range map[string]string{"": "", "short": "", "123456789012345": "", "1234567890123456": "3456"} {
		if got := app.SecretHint(secret); got != hint {
			t.Errorf("of %q %q is shown", secret, got)
		}
	}
}
