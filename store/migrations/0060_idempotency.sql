-- Answers kept for callers that repeat a request with the same Idempotency-Key.
CREATE TABLE idempotency (
	actor      TEXT NOT NULL,
	key        TEXT NOT NULL,
	request    BYTEA NOT NULL,        -- SHA-256 of method, path and body
	status     BIGINT NOT NULL,       -- 0: under way, or broken off
	answer     BYTEA NOT NULL,        -- sealed
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_expires ON idempotency (expires_at);
