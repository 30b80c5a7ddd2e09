package store

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/app"
)

var identityNow = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func operatorOf(id string) app.Operator {
	return app.Operator{ID: app.OperatorID(id), Email: id + "@example.com", Name: id, PasswordHash: "hash of " + id, CreatedAt: identityNow}
}

func operatorSession(operator string, id byte, at time.Time) app.Session {
	return app.Session{Hash: [32]byte{id}, ActorID: operator, CreatedAt: at, LastSeenAt: at, ReauthedAt: at, ExpiresAt: at.Add(time.Hour)}
}

// Whoever caches a session or an operator hears of its end, and of nothing else.
func TestEndsOfSessionsAreTold(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		ctx := t.Context()
		var told []string
		s.OnChange(func(c app.Change) { told = append(told, c.Noun+" "+c.ID) })
		id := func(n byte) string { return app.Session{Hash: [32]byte{n}}.ID() }
		expect := func(what string, want ...string) {
			t.Helper()
			if fmt.Sprint(told) != fmt.Sprint(want) {
				t.Errorf("%s told %v, want %v", what, told, want)
			}
			told = nil
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(s.InsertOperator(ctx, operatorOf("opr_a")))
		must(s.InsertOperator(ctx, operatorOf("opr_b")))
		expect("two operators", "operator opr_a", "operator opr_b")
		for n := byte(1); n <= 4; n++ {
			must(s.InsertOperatorSession(ctx, operatorSession("opr_a", n, identityNow.Add(time.Duration(n)*time.Second)), "hash of opr_a"))
		}
		must(s.TouchOperatorSession(ctx, [32]byte{1}, identityNow.Add(time.Minute)))
		expect("beginnings and uses")
		must(s.UpdateOperatorSession(ctx, [32]byte{1}, [32]byte{9}, identityNow))
		expect("a new hash", "session "+id(1))
		must(s.DeleteOperatorSession(ctx, "opr_a", [32]byte{2}))
		expect("one end", "session "+id(2))
		must(s.ReplaceOperatorPassword(ctx, "opr_a", "hash of opr_a", "another", [32]byte{9}))
		expect("a new password", "operator opr_a", "session "+id(3), "session "+id(4))
		must(s.DeleteOperator(ctx, "opr_a"))
		expect("a removed operator", "session "+id(9), "operator opr_a")
		if err := s.DeleteOperatorSession(ctx, "opr_b", [32]byte{9}); !app.IsKind(err, app.KindNotFound) {
			t.Errorf("an end of nothing: %v", err)
		}
		expect("an end of nothing")
	})
}

func TestSessionsAreOnlyTouchedForward(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		ctx := t.Context()
		if err := s.InsertOperator(ctx, operatorOf("opr_a")); err != nil {
			t.Fatal(err)
		}
		if err := s.InsertOperatorSession(ctx, operatorSession("opr_a", 1, identityNow), "hash of opr_a"); err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Duration{time.Minute, time.Second, 2 * time.Minute, 0} {
			if err := s.TouchOperatorSession(ctx, [32]byte{1}, identityNow.Add(at)); err != nil {
				t.Fatal(err)
			}
		}
		session, _, err := s.OperatorSession(ctx, [32]byte{1})
		if err != nil || session.LastSeenAt.Sub(identityNow) != 2*time.Minute {
			t.Fatalf("%+v, %v", session, err)
		}
	})
}

func TestOperatorVerbsAnswerForWhatIsMissing(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		ctx := t.Context()
		_, byID := s.Operator(ctx, "opr_none")
		_, byEmail := s.OperatorByEmail(ctx, "nobody\x00@example.com")
		_, _, session := s.OperatorSession(ctx, [32]byte{1})
		_, link := s.InsertOperatorSessionByLink(ctx, [32]byte{1}, operatorSession("", 1, identityNow))
		_, user := s.UserSessionByHash(ctx, [32]byte{1})
		for what, err := range map[string]error{"operator": byID, "operator by e-mail": byEmail, "session": session, "link": link, "user's session": user,
			"link for nobody": s.InsertOperatorLink(ctx, "opr_none", [32]byte{1}, identityNow, identityNow.Add(time.Hour)),
			"renewed session": s.UpdateOperatorSession(ctx, [32]byte{1}, [32]byte{2}, identityNow),
			"user's end":      s.DeleteUserSession(ctx, "org_none", [32]byte{1}),
			"user's begin":    s.InsertUserSession(ctx, "org_none", operatorSession("u", 1, identityNow))} {
			if !app.IsKind(err, app.KindNotFound) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := s.InsertOperatorSession(ctx, operatorSession("opr_none", 1, identityNow), "x"); app.AsError(err).Code != "password_changed" {
			t.Errorf("a session for nobody: %v", err)
		}
	})
}

func TestSigningKeysChangeInTurns(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, again Options) {
		other := openStore(t, again)
		const rounds = 10
		done := make(chan error)
		for _, replica := range []*Store{s, other} {
			go func() {
				var err error
				for range rounds {
					if _, err = replica.ChangeSigningKeys(t.Context(), func(keys []app.SigningKey) []app.SigningKey {
						return append(keys, app.SigningKey{ID: fmt.Sprint("k", len(keys)), Algorithm: "EdDSA", State: app.SigningStateRetiring,
							Public: []byte{1}, Sealed: []byte{2}, CreatedAt: identityNow.Add(time.Duration(len(keys)) * time.Second)})
					}); err != nil {
						break
					}
				}
				done <- err
			}()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		keys, err := s.SigningKeys(t.Context())
		if err != nil || len(keys) != 2*rounds {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
	})
}
