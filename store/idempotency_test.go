package store

import (
	"sync"
	"testing"
	"time"

	"gatehouse/app"
)

func request(actor, key string, content byte, at time.Time) app.Idempotency {
	return app.Idempotency{Actor: actor, Key: key, Request: [32]byte{content}, At: at}
}

func TestIdempotency(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
		begin := func(r app.Idempotency) (app.IdempotentAnswer, bool, string) {
			t.Helper()
			answer, found, err := s.BeginIdempotency(t.Context(), r)
			if err == nil {
				return answer, found, ""
			}
			return answer, found, app.AsError(err).Code
		}
		expect := func(what string, r app.Idempotency, wantFound bool, wantCode string) {
			t.Helper()
			if _, found, code := begin(r); found != wantFound || code != wantCode {
				t.Errorf("%s: found %v, code %q; want %v, %q", what, found, code, wantFound, wantCode)
			}
		}
		first := request("operator:key_1", "k", 1, now)
		expect("the first", first, false, "")
		expect("while it is under way", first, false, "idempotency_in_progress")
		expect("another's same key", request("operator:key_2", "k", 9, now), false, "")
		expect("another request", request("operator:key_1", "k", 2, now), false, "idempotency_mismatch")
		expect("after it broke off", request("operator:key_1", "k", 1, now.Add(time.Minute)), false, "idempotency_unknown")

		if err := s.FinishIdempotency(t.Context(), first, app.IdempotentAnswer{Status: 201, Body: []byte("sealed")}); err != nil {
			t.Fatal(err)
		}
		if answer, found, _ := begin(first); !found || answer.Status != 201 || string(answer.Body) != "sealed" {
			t.Errorf("repeated: %v %+v", found, answer)
		}
		same := request("operator:key_0", "k", 1, now)
		expect("the same by somebody else", same, false, "")
		expect("who is not given the first one's answer", same, false, "idempotency_in_progress")
		if err := s.FinishIdempotency(t.Context(), first, app.IdempotentAnswer{Status: 200}); !app.IsKind(err, app.KindNotFound) {
			t.Errorf("finished twice: %v", err)
		}
		if err := s.DropIdempotency(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		expect("an answer is not dropped", first, true, "")
		expect("still another request", request("operator:key_1", "k", 2, now), false, "idempotency_mismatch")
		expect("a day later", request("operator:key_1", "k", 2, now.Add(24*time.Hour)), false, "")

		dropped := request("operator:key_1", "d", 1, now)
		expect("before a failure", dropped, false, "")
		if err := s.DropIdempotency(t.Context(), dropped); err != nil {
			t.Fatal(err)
		}
		expect("after a failure", request("operator:key_1", "d", 3, now), false, "")
	})
}

func TestIdempotencyHasOneWinner(t *testing.T) {
	eachStore(t, func(t *testing.T, s *Store, _ Options) {
		const callers = 8
		var all sync.WaitGroup
		codes := make([]string, callers)
		for i := range callers {
			all.Go(func() {
				_, _, err := s.BeginIdempotency(t.Context(), request("operator:key_1", "k", 1, time.Now()))
				if err != nil {
					codes[i] = app.AsError(err).Code
				}
			})
		}
		all.Wait()
		won := 0
		for _, code := range codes {
			switch code {
			case "":
				won++
			case "idempotency_in_progress":
			default:
				t.Errorf("code %q", code)
			}
		}
		if won != 1 {
			t.Errorf("%d callers won", won)
		}
	})
}
