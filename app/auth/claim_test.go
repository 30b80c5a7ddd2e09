package auth

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

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
