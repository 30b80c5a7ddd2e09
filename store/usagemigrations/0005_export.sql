-- How far each destination of usage has come, and usage on its way to Stripe.

-- What was folded before steps were numbered is one step for each replica.
INSERT INTO usage_applied (n, replica, from_seq, to_seq, at)
	SELECT p.n + ROW_NUMBER() OVER (ORDER BY r.id), r.id, 0, r.upto, r.started_at
	FROM usage_position p, (
		SELECT u.id, u.started_at, COALESCE((SELECT MIN(a.from_seq) FROM usage_applied a WHERE a.replica = u.id), u.applied_seq) AS upto
		FROM usage_replica u
	) r
	WHERE r.upto > 0;
UPDATE usage_position SET n = (SELECT COALESCE(MAX(n), 0) FROM usage_applied);

CREATE TABLE usage_export (
	name       TEXT PRIMARY KEY,     -- of the destination
	after_n    BIGINT NOT NULL,      -- the last step of usage_applied that is there
	planned    BIGINT NOT NULL,      -- the last step of what is being written; after_n: nothing
	updated_at BIGINT NOT NULL
);

-- Usage of one organization, meter and bucket to be reported; written with the
-- move of usage_export, in one transaction.
CREATE TABLE meter_event (
	identifier TEXT PRIMARY KEY,
	org_id     TEXT NOT NULL,
	meter      TEXT NOT NULL,
	event_name TEXT NOT NULL,
	value      BIGINT NOT NULL,
	at         BIGINT NOT NULL,
	state      TEXT NOT NULL CHECK (state IN ('due', 'waiting', 'delivered', 'parked')),
	attempts   BIGINT NOT NULL,
	round      BIGINT NOT NULL,      -- answers that a repetition must not get again
	next_at    BIGINT NOT NULL,      -- not tried before
	unsure_at  BIGINT NOT NULL,      -- the first try whose outcome is unknown; 0: none
	reason     TEXT NOT NULL,
	updated_at BIGINT NOT NULL
);
CREATE INDEX meter_event_due ON meter_event (next_at, identifier) WHERE state = 'due';
CREATE INDEX meter_event_org ON meter_event (org_id, state);
CREATE INDEX meter_event_state ON meter_event (state, updated_at);
