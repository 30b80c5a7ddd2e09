package auth

import (
	"strings"
	"testing"
	"time"
)

func TestWhatIsNoSessionIsSignedOut(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		in := w.claimed(t)
		link, _, err := w.SignInLink(t.Context(), system, "")
		if err != nil {
			t.Fatal(err)
		}
		rows := map[string]string{
			"nothing": "", "the hash": in.Session.ID(), "cut": in.Cookie[:45], "longer": in.Cookie + "A", "without prefix": in.Cookie[3:],
			"as a user's": "gs_" + in.Cookie[3:], "a link": link, "a link as session": "gc_" + link[3:], "invented": newSecret(consolePrefix),
			"another spelling": in.Cookie[:len(in.Cookie)-1] + string(in.Cookie[len(in.Cookie)-1]+1), "a line break": in.Cookie[:20] + "\n" + in.Cookie[20:],
		}
		for name, cookie := range rows {
			w.expectSession(t, name, cookie, "signed_out")
		}
		w.expectSession(t, "itself", in.Cookie, "ok")
	})
}

func TestSessionsEndByTime(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		idle := w.claimed(t)
		w.pass(day - time.Millisecond)
		w.expectSession(t, "just before a day without use", idle.Cookie, "ok")
		w.pass(day)
		w.expectSession(t, "a day after its last use", idle.Cookie, "signed_out")
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if kept, err := w.db.OperatorSessions(t.Context(), idle.Operator.ID); err != nil || len(kept) != 0 {
			t.Fatalf("an idle session is kept: %d, %v", len(kept), err)
		}

		busy := w.signIn(t, client(home))
		for range 6*24 + 23 {
			w.pass(time.Hour)
			w.expectSession(t, "in use", busy.Cookie, "ok")
		}
		w.pass(time.Hour - time.Millisecond)
		w.expectSession(t, "just before seven days", busy.Cookie, "ok")
		w.pass(time.Millisecond)
		w.expectSession(t, "after seven days", busy.Cookie, "signed_out")

		fresh := w.signIn(t, client(home))
		if err := w.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		stored, err := w.db.OperatorSessions(t.Context(), fresh.Operator.ID)
		if err != nil || len(stored) != 1 || stored[0].Hash != fresh.Session.Hash {
			t.Fatalf("after the sweep: %d sessions, %v", len(stored), err)
		}
	})
}

func TestSessionsAreListedAndRevoked(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		laptop := w.claimed(t)
		w.pass(time.Minute)
		phone, tablet := w.signIn(t, client("192.0.2.1")), w.signIn(t, client("192.0.2.2"))
		other, err := w.AddOperator(ctx, system, NewOperator{"eve@example.com", "Eve", password})
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := w.SignIn(ctx, Attempt{"eve@example.com", password, client("192.0.2.3")})
		if err != nil {
			t.Fatal(err)
		}
		me := laptop.Session.Actor()

		list, err := w.Sessions(ctx, me)
		if err != nil || len(list) != 3 || list[2].Hash != laptop.Session.Hash {
			t.Fatalf("list %+v, %v", list, err)
		}
		for name, id := range map[string]string{"another operator's": theirs.Session.ID(), "none": "", "not hex": strings.Repeat("z", 64), "short": "ab"} {
			if err := w.Revoke(ctx, me, id); code(err) != "not_found" {
				t.Errorf("revoke %s: %v", name, err)
			}
		}
		if err := w.Revoke(ctx, me, phone.Session.ID()); err != nil {
			t.Fatal(err)
		}
		w.expectSession(t, "the phone", phone.Cookie, "signed_out")
		w.expectSession(t, "the tablet", tablet.Cookie, "ok")
		if n, err := w.RevokeOthers(ctx, laptop.Session); n != 1 || err != nil {
			t.Errorf("others: %d, %v", n, err)
		}
		w.expectSession(t, "the tablet after that", tablet.Cookie, "signed_out")
		w.expectSession(t, "the laptop", laptop.Cookie, "ok")
		w.expectSession(t, "the other operator", theirs.Cookie, "ok")
		if err := w.SignOut(ctx, laptop.Session); err != nil {
			t.Fatal(err)
		}
		if err := w.SignOut(ctx, laptop.Session); err != nil {
			t.Errorf("signed out twice: %v", err)
		}
		w.expectSession(t, "the laptop after sign-out", laptop.Cookie, "signed_out")
		if n, err := w.RevokeAll(ctx, theirs.Session); n != 1 || err != nil {
			t.Errorf("all: %d, %v", n, err)
		}
		w.expectSession(t, "the other operator after that", theirs.Cookie, "signed_out")
		if err := w.RemoveOperator(ctx, me, other.ID); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSessionsOfOnePersonAreBounded(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		first := w.claimed(t)
		last := first
		for range 100 {
			w.pass(time.Second)
			s := w.fresh(first.Operator, client(home))
			if err := w.db.InsertOperatorSession(t.Context(), s.Session, first.Operator.PasswordHash); err != nil {
				t.Fatal(err)
			}
			last = s
		}
		w.expectSession(t, "the oldest", first.Cookie, "signed_out")
		w.expectSession(t, "the newest", last.Cookie, "ok")
		list, err := w.Sessions(t.Context(), first.Session.Actor())
		if err != nil || len(list) != 100 {
			t.Fatalf("%d sessions, %v", len(list), err)
		}
	})
}

func TestReauthenticationRenewsTheSession(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		in := w.claimed(t)
		w.pass(10 * time.Minute)
		session, _, err := w.Session(t.Context(), in.Cookie)
		if err != nil || session.Reauthed(w.now()) {
			t.Fatalf("after ten minutes: %+v, %v", session, err)
		}
		if _, err := w.Reauthenticate(t.Context(), session, "wrong"); code(err) != "wrong_password" {
			t.Fatal(err)
		}
		again, err := w.Reauthenticate(t.Context(), session, password)
		if err != nil {
			t.Fatal(err)
		}
		w.expectSession(t, "the old secret", in.Cookie, "signed_out")
		renewed, _, err := w.Session(t.Context(), again.Cookie)
		if err != nil || !renewed.Reauthed(w.now()) || !renewed.ExpiresAt.Equal(session.ExpiresAt) || !renewed.CreatedAt.Equal(session.CreatedAt) {
			t.Fatalf("renewed %+v, %v", renewed, err)
		}
		if _, err := w.Reauthenticate(t.Context(), session, password); code(err) != "signed_out" {
			t.Errorf("with the old session: %v", err)
		}
	})
}

// Whoever took over a browser can try five passwords, not more.
func TestGuessingInASessionEndsIt(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		in := w.claimed(t)
		guesses := []func() error{
			func() error { return w.ChangePassword(t.Context(), in.Session, "wrong", "seven red kettles hum") },
			func() error { _, err := w.Reauthenticate(t.Context(), in.Session, "wrong"); return err },
		}
		for n := range 5 {
			if err := guesses[n%2](); code(err) != "wrong_password" {
				t.Fatal(err)
			}
		}
		_, err := w.Reauthenticate(t.Context(), in.Session, password)
		if code(err) != "signed_out" {
			t.Fatal(err)
		}
		w.expectSession(t, "after the guesses", in.Cookie, "signed_out")
	})
}

func TestSecretsOfOneKindAreNoOther(t *testing.T) {
	kinds := []string{consolePrefix, userPrefix, linkPrefix}
	for _, kind := range kinds {
		secret := newSecret(kind)
		if len(secret) != 46 {
			t.Errorf("%q has %d characters", secret, len(secret))
		}
		for _, other := range kinds {
			if _, ok := parseSecret(other, secret); ok != (kind == other) {
				t.Errorf("%s taken as %s: %v", kind, other, ok)
			}
		}
	}
}
