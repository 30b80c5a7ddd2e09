-- Usage of meters beside requests, signs of life of the processes that count,
-- and the order in which blocks were folded.

ALTER TABLE usage_replica ADD COLUMN fenced_at BIGINT NOT NULL DEFAULT 0; -- others took over; not one block of its own is written after
ALTER TABLE usage_replica ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;   -- its last sign of life, by the database's clock
ALTER TABLE usage_replica ADD COLUMN open_from BIGINT NOT NULL DEFAULT 1; -- no block before it holds a worst case without outcome
ALTER TABLE usage_replica ADD COLUMN answered BIGINT NOT NULL DEFAULT -1; -- successful answers by the gate's own count; -1: not told

-- 15 minutes UTC of one organization, meter, key, route and set of dimensions.
CREATE TABLE usage_meter (
	org_id    TEXT NOT NULL,
	meter     TEXT NOT NULL,
	start     BIGINT NOT NULL,
	key_id    TEXT NOT NULL,
	route_id  TEXT NOT NULL,
	dims      TEXT NOT NULL,             -- JSON object of texts, names sorted; '' is none
	count     BIGINT NOT NULL,           -- uses
	sum       BIGINT NOT NULL,           -- of values, and of corrections
	max       BIGINT NOT NULL,           -- 0 without uses, as the next two
	latest    BIGINT NOT NULL,
	latest_at BIGINT NOT NULL,
	estimated BIGINT NOT NULL,           -- uses whose true quantity nobody said
	PRIMARY KEY (org_id, meter, start, key_id, route_id, dims)
);
CREATE INDEX usage_meter_start ON usage_meter (meter, start, org_id);

-- Values, as hashes, that occurred in a bucket of a unique meter.
CREATE TABLE usage_member (
	org_id   TEXT NOT NULL,
	meter    TEXT NOT NULL,
	start    BIGINT NOT NULL,
	key_id   TEXT NOT NULL,
	route_id TEXT NOT NULL,
	dims     TEXT NOT NULL,
	value    BIGINT NOT NULL,
	PRIMARY KEY (org_id, meter, start, key_id, route_id, dims, value)
);
CREATE INDEX usage_member_start ON usage_member (meter, start, org_id);

-- What the applied blocks of a replica that runs hold of accounts: worst cases
-- without outcome. Its end removes them.
CREATE TABLE usage_held (
	replica  BIGINT NOT NULL,
	org_id   TEXT NOT NULL,
	key_id   TEXT NOT NULL,
	meter    TEXT NOT NULL,
	period   TEXT NOT NULL,
	start_at BIGINT NOT NULL,
	end_at   BIGINT NOT NULL,
	held     BIGINT NOT NULL,
	PRIMARY KEY (replica, org_id, key_id, meter, period, start_at)
);

-- Blocks in the order in which they were folded: who follows by n misses none.
CREATE TABLE usage_position (n BIGINT NOT NULL);
INSERT INTO usage_position (n) VALUES (0);

CREATE TABLE usage_applied (
	n        BIGINT PRIMARY KEY,
	replica  BIGINT NOT NULL,
	from_seq BIGINT NOT NULL,            -- the blocks after it
	to_seq   BIGINT NOT NULL,            -- and up to it
	at       BIGINT NOT NULL
);

-- only postgres
ALTER TABLE usage_meter SET (fillfactor = 60);
ALTER TABLE usage_replica SET (fillfactor = 20);
-- end
