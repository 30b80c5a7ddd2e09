package auth

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/app"
)

// The answer is the same for an unknown account and a wrong password.
func TestSignInTellsNothingOfAccounts(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		w.claimed(t)
		rows := []struct{ name, email, password string }{
			{"a wrong password", "mara@example.com", "four green kettles"},
			{"an unknown account", "eve@example.com", password},
			{"no password", "mara@example.com", ""},
			{"a very long password", "mara@example.com", strings.Repeat("x", 1<<20)},
			{"no account", "", password},
			{"a NUL", "mara@example.com\x00", password},
			{"not UTF-8", "mara\xff@example.com", password},
		}
		want := failed().Error()
		for n, row := range rows {
			from := client(fmt.Sprintf("192.0.2.%d", n+1))
			if _, err := w.SignIn(t.Context(), Attempt{row.email, row.password, from}); err == nil || err.Error() != want {
				t.Errorf("%s: %v", row.name, err)
			}
		}
	})
}

// An unknown account costs a hash like a known one: with every slot taken,
// both wait, and are sent away with the same answer.
func TestSignInHashesForUnknownAccountsToo(t *testing.T) {
	w := sqliteWorld(t)
	w.claimed(t)
	w.hasher.patience = 0
	for range cap(w.hasher.slots) {
		w.hasher.slots <- struct{}{}
	}
	for n, email := range []string{"mara@example.com", "eve@example.com"} {
		from := client(fmt.Sprintf("192.0.2.%d", n+1))
		_, err := w.SignIn(t.Context(), Attempt{email, "wrong", from})
		if known := app.AsError(err); known == nil || known.Code != "sign_in_busy" || known.Kind != app.KindUnavailable || known.RetryAfter == 0 {
			t.Errorf("%s: %v", email, err)
		}
	}
	// What can be no password costs no hash.
	_, err := w.SignIn(t.Context(), Attempt{"mara@example.com", strings.Repeat("x", MaxPasswordBytes+1), client("192.0.2.3")})
	if code(err) != "sign_in_failed" {
		t.Errorf("a very long password: %v", err)
	}
}

func TestSignInBeginsANewSessionEachTime(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		first := w.claimed(t)
		second, err := w.SignIn(t.Context(), Attempt{" MARA@example.com", password, client(home)})
		if err != nil {
			t.Fatal(err)
		}
		if first.Cookie == second.Cookie || first.Session.Hash == second.Session.Hash {
			t.Fatal("two sessions share an id")
		}
		session, operator, err := w.Session(t.Context(), second.Cookie)
		if err != nil || operator.Name != "Mara Okafor" {
			t.Fatal(operator, err)
		}
		if fmt.Sprint(session) != fmt.Sprint(second.Session) || session.Address != home || session.UserAgent != "Firefox" {
			t.Errorf("stored %+v\ngiven  %+v", session, second.Session)
		}
		if !session.Reauthed(w.now()) || !session.ExpiresAt.Equal(w.now().Add(7*day)) {
			t.Errorf("%+v", session)
		}
	})
}

// Keyboards write one letter in different ways; it is the same password.
func TestSignInReadsLettersAlike(t *testing.T) {
	w := sqliteWorld(t)
	if _, err := w.AddOperator(t.Context(), system, NewOperator{"a@example.com", "A", "grüne kessel"}); err != nil { // composed
		t.Fatal(err)
	}
	if _, err := w.SignIn(t.Context(), Attempt{"a@example.com", "gru\u0308ne kessel", client(home)}); err != nil { // decomposed
		t.Fatal(err)
	}
}

// A sign-in that read the old hash before a reset must not leave a session
// behind after it.
func TestResetDuringASignInWins(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		in := w.claimed(t)
		if _, err := w.ResetPassword(t.Context(), system, "", "seven red kettles hum"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.begin(t.Context(), in.Operator, client(home), ""); code(err) != "sign_in_failed" { // in.Operator has the old hash
			t.Fatal(err)
		}
		list, err := w.db.OperatorSessions(t.Context(), in.Operator.ID)
		if err != nil || len(list) != 0 {
			t.Fatalf("%d sessions, %v", len(list), err)
		}
		if err := w.db.ReplaceOperatorPassword(t.Context(), in.Operator.ID, in.Operator.PasswordHash, "x", [32]byte{}); code(err) != "password_changed" {
			t.Fatalf("a change upon an old reading: %v", err)
		}
	})
}

// The hash of a former cost is renewed at sign-in, once.
func TestSignInRenewsOldHashes(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		in := w.claimed(t)
		w.hasher = newHasher(2, cost{memory: 128, time: 2, threads: 1})
		w.signIn(t, client("192.0.2.1"))
		renewed, err := w.db.Operator(t.Context(), in.Operator.ID)
		if err != nil || !strings.Contains(renewed.PasswordHash, "$m=128,t=2,p=1$") {
			t.Fatalf("hash %s, %v", renewed.PasswordHash, err)
		}
		w.signIn(t, client("192.0.2.1"))
		again, err := w.db.Operator(t.Context(), in.Operator.ID)
		if err != nil || again.PasswordHash != renewed.PasswordHash {
			t.Fatal("the hash was renewed again")
		}
		w.expectSession(t, "a session from before", in.Cookie, "ok")
	})
}
