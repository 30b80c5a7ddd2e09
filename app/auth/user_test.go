package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
)

// orgs adds the organizations a and b.
func (w *world) orgs(t testing.TB) {
	t.Helper()
	if _, err := w.db.UpsertPlans(t.Context(), []app.Plan{{Slug: "free", Name: "Free"}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []app.OrgID{"org_a", "org_b"} {
		org := app.Org{ID: id, Slug: string(id[4:]), Name: string(id), Status: app.OrgStatusActive, Plan: "free", CreatedAt: w.now(), UpdatedAt: w.now()}
		if err := w.db.InsertOrg(t.Context(), org); err != nil {
			t.Fatal(err)
		}
	}
}

var appServer = app.Actor{Kind: app.ActorOperator, ID: "key_1", KeyID: "key_1", Scopes: []string{"sessions:write"}}

func (w *world) user(t testing.TB, org app.OrgID, user string, ttl time.Duration) (string, app.Session) {
	t.Helper()
	cookie, session, err := w.CreateUserSession(t.Context(), appServer, org, user, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return cookie, session
}

func (w *world) expectUser(t testing.TB, what, cookie, want string) {
	t.Helper()
	if _, err := w.UserSession(t.Context(), cookie); code(err) != want {
		t.Errorf("%s: %s, want %s", what, code(err), want)
	}
}

func TestUserSessionSaysWho(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.orgs(t)
		cookie, given, err := w.MintUserSession(t.Context(), appServer, NewUserSession{Org: "org_a", User: "auth0|42", TTL: time.Hour,
			Scopes: []string{"files:read"}, Client: client("192.0.2.1")})
		if err != nil {
			t.Fatal(err)
		}
		session, err := w.UserSession(t.Context(), cookie)
		if err != nil || fmt.Sprint(session) != fmt.Sprint(given) {
			t.Fatalf("stored %+v\ngiven  %+v, %v", session, given, err)
		}
		actor := session.Actor()
		if !strings.HasPrefix(cookie, "gs_") || actor.String() != "user:auth0|42" || actor.OrgID != "org_a" || fmt.Sprint(actor.Scopes) != "[files:read]" || actor.MayManage("orgs:read") {
			t.Errorf("actor %+v", actor)
		}
		if !session.ExpiresAt.Equal(w.now().Add(time.Hour)) {
			t.Errorf("ends at %s", session.ExpiresAt)
		}
		w.expectSession(t, "at the console", cookie, "signed_out")
		w.expectSession(t, "at the console, dressed up", "gc_"+cookie[3:], "signed_out")
		in := w.claimed(t)
		w.expectUser(t, "an operator's session at the gateway", in.Cookie, "signed_out")
		w.expectUser(t, "the same dressed up", "gs_"+in.Cookie[3:], "signed_out")
		w.expectUser(t, "nothing", "", "signed_out")
	})
}

func TestUserSessionRefusesWrongInput(t *testing.T) {
	w := sqliteWorld(t)
	w.orgs(t)
	rows := []struct {
		name, field string
		in          NewUserSession
	}{
		{"no user", "user_id", NewUserSession{}},
		{"a line break", "user_id", NewUserSession{User: "a\r\nX-Gatehouse-Org: org_b"}},
		{"a space", "user_id", NewUserSession{User: "a b"}},
		{"beyond ASCII", "user_id", NewUserSession{User: "lena-ü"}},
		{"201 characters", "user_id", NewUserSession{User: strings.Repeat("x", 201)}},
		{"too short a life", "ttl", NewUserSession{User: "u", TTL: time.Second}},
		{"a negative life", "ttl", NewUserSession{User: "u", TTL: -time.Hour}},
		{"too long a life", "ttl", NewUserSession{User: "u", TTL: 7*day + 1}},
		{"a wildcard", "scopes[0]", NewUserSession{User: "u", Scopes: []string{"*"}}},
		{"no scope", "scopes[1]", NewUserSession{User: "u", Scopes: []string{"a", "b c"}}},
		{"many scopes", "scopes", NewUserSession{User: "u", Scopes: slices.Repeat([]string{"a"}, app.MaxScopes+1)}},
	}
	for _, row := range rows {
		row.in.Org = "org_a"
		_, _, err := w.MintUserSession(t.Context(), appServer, row.in)
		if known := app.AsError(err); known == nil || len(known.Fields) != 1 || known.Fields[0].Field != row.field {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	for _, org := range []app.OrgID{"", "org_z"} {
		if _, _, err := w.CreateUserSession(t.Context(), appServer, org, "u", 0); code(err) != "not_found" {
			t.Errorf("organization %q: %v", org, err)
		}
	}
}

func TestUserSessionsEndByTimeAndAtOnce(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.orgs(t)
		short, _ := w.user(t, "org_a", "lena", time.Hour)
		long, _ := w.user(t, "org_a", "lena", 0)
		namesake, _ := w.user(t, "org_b", "lena", 0)
		w.pass(time.Hour - time.Millisecond)
		w.expectUser(t, "within its hour", short, "ok")
		w.pass(time.Millisecond)
		w.expectUser(t, "after its hour", short, "signed_out")
		for range 6 * 24 {
			w.pass(time.Hour)
			w.expectUser(t, "in use", long, "ok")
		}
		w.expectUser(t, "unused for a day", namesake, "signed_out")

		var ended []string
		w.db.OnChange(func(c app.Change) {
			if c.Noun == "session" {
				ended = append(ended, string(c.Org)+" "+c.ID)
			}
		})
		one, first := w.user(t, "org_a", "mo", 0)
		two, second := w.user(t, "org_a", "mo", 0)
		elsewhere, _ := w.user(t, "org_b", "mo", 0)
		list, err := w.UserSessions(ctx, system, "org_a", "mo")
		if err != nil || len(list) != 2 {
			t.Fatalf("list %v, %v", list, err)
		}
		if err := w.RevokeUserSession(ctx, appServer, "org_b", first.ID()); code(err) != "not_found" {
			t.Errorf("through another organization: %v", err)
		}
		if err := w.RevokeUserSession(ctx, appServer, "org_a", first.ID()); err != nil {
			t.Fatal(err)
		}
		w.expectUser(t, "the revoked one", one, "signed_out")
		w.expectUser(t, "the other", two, "ok")
		if n, err := w.RevokeUserSessions(ctx, appServer, "org_a", "mo"); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		w.expectUser(t, "after all were revoked", two, "signed_out")
		w.expectUser(t, "in the other organization", elsewhere, "ok")
		if want := []string{"org_a " + first.ID(), "org_a " + second.ID()}; !slices.Equal(ended, want) {
			t.Errorf("nodes heard %v, want %v", ended, want)
		}
		if err := w.db.DeleteOrg(ctx, "org_b"); err != nil {
			t.Fatal(err)
		}
		w.expectUser(t, "after its organization was deleted", elsewhere, "signed_out")
	})
}

func TestUserSessionsOfOnePersonAreBounded(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.orgs(t)
		first, _ := w.user(t, "org_a", "lena", 0)
		namesake, _ := w.user(t, "org_b", "lena", 0)
		for range 100 {
			w.pass(time.Second)
			w.user(t, "org_a", "lena", 0)
		}
		w.expectUser(t, "the oldest", first, "signed_out")
		w.expectUser(t, "another organization's", namesake, "ok")
		if list, err := w.UserSessions(t.Context(), system, "org_a", "lena"); err != nil || len(list) != 100 {
			t.Fatalf("%d sessions, %v", len(list), err)
		}
	})
}
