package auth

import (
	"sync"
	"testing"
	"time"
)

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
