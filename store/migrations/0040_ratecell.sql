-- How rate limits of a minute and more stand, for the next start (app/limit).
CREATE TABLE rate_cell (
	org_id    TEXT   NOT NULL,
	cell      TEXT   NOT NULL,
	requests  BIGINT NOT NULL,
	window_ms BIGINT NOT NULL,
	burst     BIGINT NOT NULL,
	full_at   BIGINT NOT NULL,
	PRIMARY KEY (org_id, cell)
);
CREATE INDEX rate_cell_full ON rate_cell (full_at);
