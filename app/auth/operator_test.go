package auth

import (
	"sync"
	"testing"

	"gatehouse/app"
)

func TestChangePassword(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		here := w.claimed(t)
		elsewhere := w.signIn(t, client("192.0.2.1"))
		link, _, err := w.SignInLink(ctx, system, "mara@example.com")
		if err != nil {
			t.Fatal(err)
		}
		const next = "seven red kettles hum"
		if err := w.ChangePassword(ctx, here.Session, "wrong", next); code(err) != "wrong_password" {
			t.Fatal(err)
		}
		if err := w.ChangePassword(ctx, here.Session, password, "mara12345678"); code(err) != "invalid_input" {
			t.Fatal(err)
		}
		w.expectSession(t, "elsewhere, before", elsewhere.Cookie, "ok")
		if err := w.ChangePassword(ctx, here.Session, password, next); err != nil {
			t.Fatal(err)
		}
		w.expectSession(t, "here", here.Cookie, "ok")
		w.expectSession(t, "elsewhere", elsewhere.Cookie, "signed_out")
		if _, err := w.SignInByLink(ctx, link, client(home)); code(err) != "link_gone" {
			t.Errorf("a link from before: %v", err)
		}
		if _, err := w.SignIn(ctx, Attempt{"mara@example.com", password, client("192.0.2.2")}); code(err) != "sign_in_failed" {
			t.Errorf("the old password: %v", err)
		}
		if _, err := w.SignIn(ctx, Attempt{"mara@example.com", next, client("192.0.2.2")}); err != nil {
			t.Errorf("the new password: %v", err)
		}
	})
}

func TestResetPasswordEndsEverySession(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		in := w.claimed(t)
		if _, err := w.ResetPassword(ctx, in.Session.Actor(), "", "seven red kettles hum"); code(err) != "forbidden" {
			t.Fatalf("by an operator: %v", err)
		}
		if _, err := w.ResetPassword(ctx, system, "eve@example.com", "seven red kettles hum"); code(err) != "not_found" {
			t.Fatal(err)
		}
		if _, err := w.ResetPassword(ctx, system, "", "seven red kettles hum"); err != nil {
			t.Fatal(err)
		}
		w.expectSession(t, "after the reset", in.Cookie, "signed_out")
	})
}

func TestTheLastOperatorStays(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		mara := w.claimed(t)
		if err := w.RemoveOperator(ctx, system, mara.Operator.ID); code(err) != "last_operator" {
			t.Fatal(err)
		}
		if err := w.RemoveOperator(ctx, system, "opr_none"); code(err) != "not_found" {
			t.Fatal(err)
		}
		for range 5 {
			eve, err := w.AddOperator(ctx, system, NewOperator{"eve@example.com", "Eve", password})
			if err != nil {
				t.Fatal(err)
			}
			all, _ := w.Operators(ctx, system)
			var both sync.WaitGroup
			for _, o := range all {
				both.Go(func() { w.RemoveOperator(ctx, system, o.ID) })
			}
			both.Wait()
			left, err := w.Operators(ctx, system)
			if err != nil || len(left) != 1 {
				t.Fatalf("%d operators are left, %v", len(left), err)
			}
			if left[0].ID == eve.ID { // for the next round
				if _, err := w.AddOperator(ctx, system, NewOperator{"mara@example.com", "Mara", password}); err != nil {
					t.Fatal(err)
				}
				if err := w.RemoveOperator(ctx, system, eve.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestRemovedOperatorsAreSignedOut(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		mara := w.claimed(t)
		if _, err := w.AddOperator(t.Context(), mara.Session.Actor(), NewOperator{"eve@example.com", "Eve", password}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.AddOperator(t.Context(), system, NewOperator{"EVE@example.com", "Eve", password}); code(err) != "email_taken" {
			t.Fatal(err)
		}
		if err := w.RemoveOperator(t.Context(), system, mara.Operator.ID); err != nil {
			t.Fatal(err)
		}
		w.expectSession(t, "removed", mara.Cookie, "signed_out")
		if _, err := w.SignIn(t.Context(), Attempt{"mara@example.com", password, client("192.0.2.9")}); code(err) != "sign_in_failed" {
			t.Fatal(err)
		}
	})
}

// The first rows are those who may nothing.
func TestWhoMayDoWhat(t *testing.T) {
	w := sqliteWorld(t)
	in := w.claimed(t)
	machine := func(scopes ...string) app.Actor {
		return app.Actor{Kind: app.ActorOperator, ID: "key_1", KeyID: "key_1", Scopes: scopes}
	}
	rows := []struct {
		who                                     string
		actor                                   app.Actor
		operators, add, sessions, users, revoke string
	}{
		{"anonymous", app.Actor{Kind: app.ActorAnonymous}, "forbidden", "forbidden", "forbidden", "forbidden", "forbidden"},
		{"a user", app.Actor{Kind: app.ActorUser, ID: string(in.Operator.ID), OrgID: "org_a", Scopes: []string{"*"}}, "forbidden", "forbidden", "forbidden", "forbidden", "forbidden"},
		{"an organization's key", app.Actor{Kind: app.ActorKey, ID: "key_1", OrgID: "org_a", Scopes: []string{"*"}}, "forbidden", "forbidden", "forbidden", "forbidden", "forbidden"},
		{"a machine for orgs", machine("orgs:*"), "forbidden", "forbidden", "forbidden", "forbidden", "forbidden"},
		{"a machine for operators", machine("operators:*"), "ok", "forbidden", "forbidden", "forbidden", "forbidden"},
		{"a machine for sessions", machine("sessions:*"), "forbidden", "forbidden", "forbidden", "ok", "ok"},
		{"a machine for all", machine("*"), "ok", "invalid_input", "forbidden", "ok", "ok"},
		{"an operator", in.Session.Actor(), "ok", "invalid_input", "ok", "ok", "ok"},
		{"the system", system, "ok", "invalid_input", "forbidden", "ok", "ok"},
	}
	for _, row := range rows {
		t.Run(row.who, func(t *testing.T) {
			expect := func(what, want string, err error) {
				t.Helper()
				if code(err) != want {
					t.Errorf("%s: %s, want %s", what, code(err), want)
				}
			}
			_, err := w.Operators(t.Context(), row.actor)
			expect("list operators", row.operators, err)
			_, err = w.AddOperator(t.Context(), row.actor, NewOperator{})
			expect("add an operator", row.add, err)
			_, err = w.Sessions(t.Context(), row.actor)
			expect("list own sessions", row.sessions, err)
			_, err = w.UserSessions(t.Context(), row.actor, "org_a", "u")
			expect("list users' sessions", row.users, err)
			_, err = w.RevokeUserSessions(t.Context(), row.actor, "org_a", "u")
			expect("revoke users' sessions", row.revoke, err)
			if _, _, err := w.CreateUserSession(t.Context(), row.actor, "org_a", "", 0); row.revoke == "forbidden" && code(err) != "forbidden" {
				t.Errorf("create a user's session: %v", err)
			}
		})
	}
}
