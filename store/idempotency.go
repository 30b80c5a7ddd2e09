package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"time"

	"gatehouse/app"
)

const idempotencyReason reason = "repeated requests belong to their caller, whatever they ask for"

// idempotencyPatience is how long a request under way is waited for. Whatever
// takes longer broke off, and nobody knows whether it had its effect.
const idempotencyPatience = time.Minute

// BeginIdempotency claims the key for a request that is about to be done: then
// found is false, and FinishIdempotency or DropIdempotency must follow. When
// the same request was answered before, it returns that answer. Errors, all of
// KindConflict: idempotency_mismatch (the key was used for another request),
// idempotency_in_progress (by another caller, now), idempotency_unknown (an
// earlier attempt broke off).
func (s *Store) BeginIdempotency(ctx context.Context, r app.Idempotency) (answer app.IdempotentAnswer, found bool, err error) {
	err = s.system(ctx, idempotencyReason, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM main.idempotency WHERE expires_at <= $1`, r.At.UnixMilli()); err != nil {
			return err
		}
		claimed, err := t.exec(`INSERT INTO main.idempotency (actor, key, request, status, answer, created_at, expires_at)
			VALUES ($1, $2, $3, 0, $4, $5, $6) ON CONFLICT (actor, key) DO NOTHING`,
			r.Actor, r.Key, r.Request[:], []byte{}, r.At.UnixMilli(), r.At.Add(app.IdempotencyLife).UnixMilli())
		if err != nil || claimed == 1 {
			return err
		}
		answer, err = t.idempotentAnswer(r)
		found = err == nil
		return err
	})
	return answer, found, err
}

// idempotentAnswer reads what the key's first request was answered.
func (t *tx) idempotentAnswer(r app.Idempotency) (a app.IdempotentAnswer, err error) {
	var request []byte
	var createdAt int64
	err = t.row(`SELECT request, status, answer, created_at FROM idempotency WHERE actor = $1 AND key = $2`, r.Actor, r.Key).
		Scan(&request, &a.Status, &a.Body, &createdAt)
	switch {
	case errors.Is(err, sql.ErrNoRows): // dropped between the two statements
		return a, inProgress()
	case err != nil:
		return a, err
	case !bytes.Equal(request, r.Request[:]):
		mismatch := app.Conflict("idempotency_mismatch", "This Idempotency-Key was used for another request.")
		mismatch.Advice = "Use a new key for a new request, and the same key only to repeat one."
		return a, mismatch
	case a.Status != 0:
		return a, nil
	case r.At.Sub(time.UnixMilli(createdAt)) < idempotencyPatience:
		return a, inProgress()
	}
	unknown := app.Conflict("idempotency_unknown", "An earlier attempt with this Idempotency-Key broke off, and may have had its effect.")
	unknown.Advice = "Look whether it was created; if not, send it again with a new key."
	return a, unknown
}

func inProgress() error {
	busy := app.Conflict("idempotency_in_progress", "The same request is under way.")
	busy.Advice, busy.RetryAfter = "Send it again shortly, with the same key.", time.Second
	return busy
}

// FinishIdempotency keeps the answer to the request that BeginIdempotency claimed.
func (s *Store) FinishIdempotency(ctx context.Context, r app.Idempotency, answer app.IdempotentAnswer) error {
	return s.system(ctx, idempotencyReason, func(t *tx) error {
		n, err := t.exec(`UPDATE main.idempotency SET status = $3, answer = $4 WHERE actor = $1 AND key = $2 AND request = $5 AND status = 0`,
			r.Actor, r.Key, answer.Status, answer.Body, r.Request[:])
		return touched("request under way", n, err)
	})
}

// DropIdempotency forgets the request that BeginIdempotency claimed: it had no
// effect, so the key is free again.
func (s *Store) DropIdempotency(ctx context.Context, r app.Idempotency) error {
	return s.system(ctx, idempotencyReason, func(t *tx) error {
		_, err := t.exec(`DELETE FROM main.idempotency WHERE actor = $1 AND key = $2 AND request = $3 AND status = 0`,
			r.Actor, r.Key, r.Request[:])
		return err
	})
}
