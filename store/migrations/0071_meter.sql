-- What is counted beside the built-in meters.
CREATE TABLE meter (
	slug        TEXT PRIMARY KEY,
	name        TEXT NOT NULL,
	unit        TEXT NOT NULL,
	aggregation TEXT NOT NULL,        -- count, sum, unique, max, latest
	event_type  TEXT NOT NULL,
	value       TEXT NOT NULL,        -- property of the event's data; '': none
	dimensions  TEXT NOT NULL,        -- JSON list
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL
);
