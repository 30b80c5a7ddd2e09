CREATE TABLE operator (
	id            TEXT PRIMARY KEY,
	email         TEXT NOT NULL UNIQUE,    -- in lower case
	name          TEXT NOT NULL,
	password_hash TEXT NOT NULL,           -- argon2id, PHC string
	created_at    BIGINT NOT NULL
);

-- The one link by which the first operator claims the installation. One row
-- for ever: whoever sets claimed_at first has it, and nobody after.
CREATE TABLE operator_claim (
	id         BIGINT PRIMARY KEY CHECK (id = 1),
	hash       BYTEA NOT NULL,             -- SHA-256 of the link's token
	expires_at BIGINT NOT NULL,
	claimed_at BIGINT NOT NULL             -- 0: not yet
);

-- One-time links that sign an operator in.
CREATE TABLE operator_link (
	hash        BYTEA PRIMARY KEY,
	operator_id TEXT NOT NULL REFERENCES operator (id) ON DELETE CASCADE,
	expires_at  BIGINT NOT NULL
);
CREATE INDEX operator_link_operator ON operator_link (operator_id);
CREATE INDEX operator_link_expires ON operator_link (expires_at);

CREATE TABLE operator_session (
	hash         BYTEA PRIMARY KEY,        -- SHA-256 of the cookie's value
	operator_id  TEXT NOT NULL REFERENCES operator (id) ON DELETE CASCADE,
	created_at   BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL,
	reauthed_at  BIGINT NOT NULL,
	expires_at   BIGINT NOT NULL,
	address      TEXT NOT NULL,
	user_agent   TEXT NOT NULL
);
CREATE INDEX operator_session_newest ON operator_session (operator_id, created_at, hash);
CREATE INDEX operator_session_expires ON operator_session (expires_at);

-- Sessions of users in an organization, made for the app by the operator's
-- machine.
CREATE TABLE user_session (
	org_id       TEXT NOT NULL REFERENCES org (id) ON DELETE CASCADE,
	-- Unique over all organizations, because the value names its owner. It
	-- tells nothing to who does not hold the value already.
	hash         BYTEA NOT NULL UNIQUE,
	user_id      TEXT NOT NULL,            -- in the app's own terms
	scopes       TEXT NOT NULL,            -- JSON
	created_at   BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL,
	expires_at   BIGINT NOT NULL,
	address      TEXT NOT NULL,
	user_agent   TEXT NOT NULL,
	PRIMARY KEY (org_id, hash)
);
CREATE INDEX user_session_newest ON user_session (org_id, user_id, created_at, hash);
CREATE INDEX user_session_expires ON user_session (expires_at);

-- One row whose lock lets one replica at a time rotate signing keys.
CREATE TABLE signing_rotation (
	id    BIGINT PRIMARY KEY CHECK (id = 1),
	turns BIGINT NOT NULL
);
INSERT INTO signing_rotation (id, turns) VALUES (1, 0);

CREATE TABLE signing_key (
	id         TEXT PRIMARY KEY,           -- kid
	algorithm  TEXT NOT NULL,
	state      TEXT NOT NULL CHECK (state IN ('next', 'current', 'retiring')),
	public     BYTEA NOT NULL,             -- PKIX, DER
	sealed     BYTEA NOT NULL,             -- the private half, encrypted
	created_at BIGINT NOT NULL,
	active_at  BIGINT NOT NULL,            -- 0: not yet
	retired_at BIGINT NOT NULL,            -- 0: not yet
	gone_at    BIGINT NOT NULL             -- 0: not known yet
);
CREATE UNIQUE INDEX signing_key_one ON signing_key (state) WHERE state <> 'retiring';
