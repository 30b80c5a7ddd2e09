package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	embedredis "gatehouse/embed/redis"
	"gatehouse/store"
	"gatehouse/store/redis"
	"gatehouse/store/storetest"
	"gatehouse/store/storetest/each"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// cheap keeps the tests quick; everything else is as it ships.
var cheap = cost{memory: 64, time: 1, threads: 1}

const (
	day      = 24 * time.Hour
	password = "four green kettles sing"
	home     = "198.51.100.7"
)

// world is a service on a store, with a clock.
type world struct {
	*Service
	db *store.Store
	mu sync.Mutex
	at time.Time
}

func (w *world) now() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.at }

func (w *world) pass(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.at = w.at.Add(d) }

func newWorld(t testing.TB, o store.Options) *world {
	t.Helper()
	w := &world{at: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)}
	o.Now = w.now
	w.db = each.Open(t, o)
	sealer, err := app.NewSealer(bytes.Repeat([]byte{3}, app.SealKeySize))
	if err != nil {
		t.Fatal(err)
	}
	w.Service = New(Options{Store: w.db, Sealer: sealer, Now: w.now, Log: slog.New(slog.DiscardHandler)})
	w.hasher = newHasher(2, cheap)
	return w
}

func eachWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("SQLite", func(t *testing.T) { test(t, sqliteWorld(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newWorld(t, store.Options{DSN: storetest.Postgres(t)})) })
}

func sqliteWorld(t testing.TB) *world {
	return newWorld(t, store.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
}

func client(address string) Client {
	return Client{Address: netip.MustParseAddr(address), UserAgent: "Firefox"}
}

var system = app.Actor{Kind: app.ActorSystem}

func code(err error) string {
	if err == nil {
		return "ok"
	}
	return app.AsError(err).Code
}

// mara is the operator of most tests.
func mara() NewOperator {
	return NewOperator{Email: "mara@example.com", Name: "Mara Okafor", Password: password}
}

// claimed gives the world its operator.
func (w *world) claimed(t testing.TB) SignedIn {
	t.Helper()
	token, open, err := w.ClaimLink(t.Context())
	if err != nil || !open {
		t.Fatalf("claim link: %v, %v", open, err)
	}
	in, err := w.Claim(t.Context(), token, mara(), client(home))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func (w *world) signIn(t testing.TB, c Client) SignedIn {
	t.Helper()
	in, err := w.SignIn(t.Context(), Attempt{"mara@example.com", password, c})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func (w *world) expectSession(t testing.TB, what, cookie, want string) {
	t.Helper()
	if _, _, err := w.Session(t.Context(), cookie); code(err) != want {
		t.Errorf("%s: %s, want %s", what, code(err), want)
	}
}

func TestClaimMakesTheFirstOperator(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		if claimed, err := w.Claimed(ctx); err != nil || claimed {
			t.Fatalf("claimed %v, %v", claimed, err)
		}
		former, _, _ := w.ClaimLink(ctx)
		token, open, err := w.ClaimLink(ctx) // the server was restarted
		if err != nil || !open {
			t.Fatal(open, err)
		}
		rows := []struct {
			name, token string
			in          NewOperator
			want        string
		}{
			{"the former link", former, mara(), "link_gone"},
			{"an invented link", newSecret(linkPrefix), mara(), "link_gone"},
			{"no link", "", mara(), "link_gone"},
			{"the link cut", token[:len(token)-1], mara(), "link_gone"},
			{"a weak password", token, NewOperator{"mara@example.com", "Mara", "short"}, "invalid_input"},
			{"no name", token, NewOperator{"mara@example.com", " ", password}, "invalid_input"},
			{"no address", token, NewOperator{"mara", "Mara", password}, "invalid_input"},
		}
		for _, row := range rows {
			if _, err := w.Claim(ctx, row.token, row.in, client(home)); code(err) != row.want {
				t.Errorf("%s: %v", row.name, err)
			}
		}
		if err := w.CheckClaim(ctx, token); err != nil {
			t.Fatalf("the link after mistakes: %v", err)
		}
		in, err := w.Claim(ctx, token, NewOperator{" Mara@Example.com ", "Mara Okafor", password}, client(home))
		if err != nil {
			t.Fatal(err)
		}
		w.expectSession(t, "after the claim", in.Cookie, "ok")
		if in.Operator.Email != "mara@example.com" || in.Session.Actor().String() != "operator:"+string(in.Operator.ID) || !in.Session.Actor().MayManage("orgs:write") {
			t.Errorf("%+v", in)
		}
		if claimed, err := w.Claimed(ctx); err != nil || !claimed {
			t.Errorf("claimed %v, %v", claimed, err)
		}
		if _, err := w.Claim(ctx, token, NewOperator{"eve@example.com", "Eve", password}, client(home)); code(err) != "link_gone" {
			t.Errorf("once more: %v", err)
		}
		if token, open, err := w.ClaimLink(ctx); open || token != "" || err != nil {
			t.Errorf("a claimed installation gives out a link: %v, %v", open, err)
		}
	})
}

func TestClaimEndsAfterADay(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		token, _, _ := w.ClaimLink(t.Context())
		w.pass(day - time.Millisecond)
		if err := w.CheckClaim(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Millisecond)
		if err := w.CheckClaim(t.Context(), token); code(err) != "link_gone" {
			t.Fatal(err)
		}
		if _, err := w.Claim(t.Context(), token, mara(), client(home)); code(err) != "link_gone" {
			t.Fatal(err)
		}
	})
}

// Many people claim at once, with the same link, at first while the link is
// being replaced: there is one operator, and each of the others is told.
func TestClaimRace(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		if w.race(t, true) == 0 && w.race(t, false) != 1 {
			t.Fatal("nobody could claim")
		}
		if w.race(t, false) != 0 {
			t.Fatal("the installation was claimed again")
		}
	})
}

// race lets twelve claim at once and answers how many operators it made.
func (w *world) race(t *testing.T, replace bool) int {
	before, err := w.db.Operators(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := w.ClaimLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var racers sync.WaitGroup
	results := make(chan string, 12)
	for n := range cap(results) {
		racers.Go(func() {
			in := NewOperator{fmt.Sprintf("racer%d@example.com", n), "Racer", password}
			_, err := w.Claim(t.Context(), token, in, client(home))
			results <- code(err)
		})
	}
	if replace {
		racers.Go(func() { w.ClaimLink(t.Context()) })
	}
	racers.Wait()
	close(results)
	won := 0
	for result := range results {
		switch result {
		case "ok":
			won++
		case "link_gone", "sign_in_busy":
		default:
			t.Errorf("a racer got %s", result)
		}
	}
	after, err := w.db.Operators(t.Context())
	if err != nil || len(after)-len(before) != won || len(after) > 1 {
		t.Fatalf("%d won, there are %d operators, %v", won, len(after), err)
	}
	return won
}

func TestOperatorMadeOnTheMachineClosesTheClaim(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		token, _, _ := w.ClaimLink(t.Context())
		if _, err := w.AddOperator(t.Context(), system, mara()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Claim(t.Context(), token, NewOperator{"eve@example.com", "Eve", password}, client(home)); code(err) != "link_gone" {
			t.Fatal(err)
		}
	})
}

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

func TestLinkSignsInOnce(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		if _, _, err := w.SignInLink(ctx, system, ""); code(err) != "unclaimed" {
			t.Fatalf("before the claim: %v", err)
		}
		in := w.claimed(t)
		if _, _, err := w.SignInLink(ctx, in.Session.Actor(), ""); code(err) != "forbidden" {
			t.Fatalf("by an operator: %v", err)
		}
		if _, _, err := w.SignInLink(ctx, system, "eve@example.com"); code(err) != "not_found" {
			t.Fatal(err)
		}
		token, operator, err := w.SignInLink(ctx, system, "")
		if err != nil || operator.ID != in.Operator.ID {
			t.Fatal(operator, err)
		}
		var racers sync.WaitGroup
		results := make(chan string, 10)
		for range cap(results) {
			racers.Go(func() {
				_, err := w.SignInByLink(ctx, token, client("192.0.2.1"))
				results <- code(err)
			})
		}
		racers.Wait()
		close(results)
		tally := map[string]int{}
		for result := range results {
			tally[result]++
		}
		if tally["ok"] != 1 || tally["link_gone"] != 9 {
			t.Errorf("%v", tally)
		}
		late, _, err := w.SignInLink(ctx, system, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.CheckLink(ctx, late); err != nil {
			t.Error(err)
		}
		w.pass(10 * time.Minute)
		if err := w.CheckLink(ctx, late); code(err) != "link_gone" {
			t.Error(err)
		}
		if _, err := w.SignInByLink(ctx, late, client(home)); code(err) != "link_gone" {
			t.Error(err)
		}
		if _, err := w.AddOperator(ctx, system, NewOperator{"eve@example.com", "Eve", password}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.SignInLink(ctx, system, ""); code(err) != "invalid_input" {
			t.Errorf("whose link, of two: %v", err)
		}
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

// broken is a Redis that went away.
type broken struct{}

func (broken) Incr(context.Context, string, time.Duration) (int64, error) {
	return 0, errors.New("away")
}
func (broken) Count(context.Context, string) (int64, error) { return 0, errors.New("away") }

func TestGuessesAreCountedWithoutRedis(t *testing.T) {
	w := sqliteWorld(t)
	w.claimed(t)
	w.guard.shared = broken{}
	for range 5 {
		if _, err := w.SignIn(t.Context(), Attempt{"mara@example.com", "wrong", client(home)}); code(err) != "sign_in_failed" {
			t.Fatal(err)
		}
	}
	if _, err := w.SignIn(t.Context(), Attempt{"mara@example.com", password, client(home)}); code(err) != "sign_in_limited" {
		t.Fatal(err)
	}
}

// Two replicas share their counts through Redis.
func TestGuessesAreCountedOverReplicas(t *testing.T) {
	servers := map[string]func(t *testing.T) redis.Options{
		"miniredis": func(t *testing.T) redis.Options {
			server, err := embedredis.Start()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close() })
			return redis.Options{Dial: server.Dial}
		},
		"Redis": func(t *testing.T) redis.Options { return redis.Options{URL: "redis://" + storetest.Redis(t)} },
	}
	for name, options := range servers {
		t.Run(name, func(t *testing.T) {
			shared, err := redis.Open(options(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { shared.Close() })
			first, second := sqliteWorld(t), sqliteWorld(t)
			first.claimed(t)
			for _, w := range []*world{first, second} {
				w.guard.shared = shared
			}
			var all sync.WaitGroup
			results := make(chan string, 20)
			for n := range cap(results) {
				w := []*world{first, second}[n%2]
				all.Go(func() {
					_, err := w.SignIn(t.Context(), Attempt{"mara@example.com", "wrong", client(home)})
					results <- code(err)
				})
			}
			all.Wait()
			close(results)
			tally := map[string]int{}
			for result := range results {
				tally[result]++
			}
			if tally["sign_in_failed"]+tally["sign_in_busy"] > 5 || tally["sign_in_limited"] < 15 {
				t.Fatalf("%v", tally)
			}
			if n, err := shared.Count(t.Context(), "auth:address:"+home); err != nil || n == 0 {
				t.Fatalf("count %d, %v", n, err)
			}
			if n, err := shared.Count(t.Context(), "auth:address:none"); err != nil || n != 0 {
				t.Fatalf("count %d, %v", n, err)
			}
		})
	}
}
