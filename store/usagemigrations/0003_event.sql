-- Which events were counted, for as long as a repetition is recognized.
CREATE TABLE usage_event_id (
	id       BYTEA PRIMARY KEY,      -- app.EventID16
	body     BYTEA NOT NULL,         -- app.Event.Body
	received BIGINT NOT NULL,
	replica  BIGINT NOT NULL,        -- the block that counts it
	seq      BIGINT NOT NULL
);
CREATE INDEX usage_event_id_received ON usage_event_id (received);
