-- On SQLite, which one process alone counts in, the blocks are what says which
-- events are counted; these tables are an index of them, written behind them.
-- See embed/docs/decisions/0010. What the table before it held is read from
-- the blocks at the next start.

-- only sqlite
DROP TABLE usage_event_id;

-- How far each chain's blocks are in ready parts.
CREATE TABLE usage_event_position (
	replica INTEGER PRIMARY KEY,
	seq     INTEGER NOT NULL             -- the last block whose events are in parts, with all before it
);

-- A part holds the ids of a time, sorted.
CREATE TABLE usage_event_part (
	id     INTEGER PRIMARY KEY,
	state  INTEGER NOT NULL,             -- 0: not yet whole, 1: ready, 2: being dropped
	ids    INTEGER NOT NULL,
	oldest INTEGER NOT NULL,             -- received, Unix milliseconds
	newest INTEGER NOT NULL
);

-- Its ids, and then what tells where to look: one row fills one page of
-- SQLite's.
CREATE TABLE usage_event_page (
	id   INTEGER PRIMARY KEY,            -- part · 2^32 + number in the part
	body BLOB NOT NULL                   -- see store/eventindex_page.go
);
-- end
