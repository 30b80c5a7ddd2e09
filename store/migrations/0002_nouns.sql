CREATE TABLE plan (
	slug        TEXT PRIMARY KEY,
	name        TEXT NOT NULL,
	price       BIGINT,               -- micros a month; NULL: as agreed
	rate_limits TEXT NOT NULL,        -- JSON
	quotas      TEXT NOT NULL,        -- JSON
	in_flight   BIGINT NOT NULL,
	websockets  BIGINT NOT NULL,
	tasks       BIGINT NOT NULL,
	members     BIGINT NOT NULL,
	promise     TEXT NOT NULL,
	trial_days  BIGINT NOT NULL,
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL
);

CREATE TABLE upstream (
	name       TEXT PRIMARY KEY,
	id         TEXT NOT NULL UNIQUE,
	definition TEXT NOT NULL,         -- JSON, all that is not a column
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);

CREATE TABLE route (
	name       TEXT PRIMARY KEY,
	id         TEXT NOT NULL UNIQUE,
	upstream   TEXT NOT NULL REFERENCES upstream (name),
	definition TEXT NOT NULL,         -- JSON, all that is not a column
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX route_upstream ON route (upstream);

CREATE TABLE org (
	id         TEXT PRIMARY KEY,
	slug       TEXT NOT NULL UNIQUE,
	name       TEXT NOT NULL,
	status     TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'cancelled')),
	reason     TEXT NOT NULL,
	plan       TEXT NOT NULL REFERENCES plan (slug),
	upstream   TEXT REFERENCES upstream (name),
	search     TEXT NOT NULL,         -- name and slug in lower case, by Go's rules on both engines
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX org_newest ON org (created_at, id);
CREATE INDEX org_plan ON org (plan);
CREATE INDEX org_upstream ON org (upstream);

CREATE TABLE api_key (
	org_id       TEXT NOT NULL REFERENCES org (id) ON DELETE CASCADE,
	id           TEXT NOT NULL,
	-- Unique over all organizations, because a secret names its owner. It tells
	-- nothing to who does not hold the secret already.
	hash         BYTEA NOT NULL UNIQUE,
	name         TEXT NOT NULL,
	hint         TEXT NOT NULL,
	scopes       TEXT NOT NULL,       -- JSON
	cidrs        TEXT NOT NULL,       -- JSON
	rate_limits  TEXT NOT NULL,       -- JSON
	expires_at   BIGINT NOT NULL,     -- 0: never
	revoked_at   BIGINT NOT NULL,     -- 0: not
	rotated_to   TEXT NOT NULL,
	last_used_at BIGINT NOT NULL,     -- 0: never
	created_at   BIGINT NOT NULL,
	created_by   TEXT NOT NULL,
	search       TEXT NOT NULL,       -- name in lower case, by Go's rules on both engines
	PRIMARY KEY (org_id, id)
);
CREATE INDEX api_key_newest ON api_key (org_id, created_at, id);
CREATE INDEX api_key_id ON api_key (id);

-- The operator's keys for the management API: apart from the organizations'
-- keys, so that no statement on those can reach them. Their owner is always
-- empty, so that the same statements serve both tables.
CREATE TABLE operator_key (
	org_id       TEXT NOT NULL CHECK (org_id = ''),
	id           TEXT NOT NULL,
	hash         BYTEA NOT NULL UNIQUE,
	name         TEXT NOT NULL,
	hint         TEXT NOT NULL,
	scopes       TEXT NOT NULL,
	cidrs        TEXT NOT NULL,
	rate_limits  TEXT NOT NULL,
	expires_at   BIGINT NOT NULL,
	revoked_at   BIGINT NOT NULL,
	rotated_to   TEXT NOT NULL,
	last_used_at BIGINT NOT NULL,
	created_at   BIGINT NOT NULL,
	created_by   TEXT NOT NULL,
	search       TEXT NOT NULL,       -- name in lower case, by Go's rules on both engines
	PRIMARY KEY (org_id, id)
);
CREATE INDEX operator_key_newest ON operator_key (org_id, created_at, id);
