-- The usage ledger: blocks of records, chained by hash, and the usage buckets
-- folded from them. On SQLite it is a file of its own, usage.db.

-- One row per run of a process that counts: the only writer of a chain.
CREATE TABLE usage_replica (
	id           BIGINT PRIMARY KEY,
	node         TEXT NOT NULL,          -- host and process, for people
	sync         TEXT NOT NULL,          -- full, or relaxed: answers came before commits
	started_at   BIGINT NOT NULL,
	closed_at    BIGINT NOT NULL,        -- 0: it runs, or crashed
	link_replica BIGINT NOT NULL,        -- the block before its first: 0 is none
	link_seq     BIGINT NOT NULL,
	link_hash    BYTEA NOT NULL,
	applied_seq  BIGINT NOT NULL,        -- its last block that usage_bucket holds
	applied_hash BYTEA NOT NULL
);

CREATE TABLE usage_block (
	replica BIGINT NOT NULL,
	seq     BIGINT NOT NULL,             -- 1, 2, 3 … in each replica
	body    BYTEA NOT NULL,              -- see app/metering/block.go
	PRIMARY KEY (replica, seq)
);

-- 15 minutes UTC of one organization, key and route ('' is none).
CREATE TABLE usage_bucket (
	org_id      TEXT NOT NULL,
	start       BIGINT NOT NULL,
	key_id      TEXT NOT NULL,
	route_id    TEXT NOT NULL,
	requests    BIGINT NOT NULL,
	weight      BIGINT NOT NULL,
	status_2xx  BIGINT NOT NULL,
	status_3xx  BIGINT NOT NULL,
	status_4xx  BIGINT NOT NULL,
	status_5xx  BIGINT NOT NULL,
	unknown     BIGINT NOT NULL,         -- requests without a status
	bytes_in    BIGINT NOT NULL,
	bytes_out   BIGINT NOT NULL,
	duration_us BIGINT NOT NULL,         -- microseconds, summed
	PRIMARY KEY (org_id, start, key_id, route_id)
);
CREATE INDEX usage_bucket_start ON usage_bucket (start, org_id);

-- only postgres
-- Blocks are packed already, and written once; buckets are updated four times
-- a second while they are current, so leave room for that on their page.
ALTER TABLE usage_block ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE usage_bucket SET (fillfactor = 60);
-- end
