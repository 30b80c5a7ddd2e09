-- Accounts of minutes, hours and days are removed when nobody charges them any
-- more. What was drawn on them stays as one sum, so that accounts can still be
-- compared with the blocks.
CREATE TABLE quota_pruned (
	org_id   TEXT NOT NULL,
	key_id   TEXT NOT NULL,
	meter    TEXT NOT NULL,
	period   TEXT NOT NULL,
	upto     BIGINT NOT NULL,            -- accounts that ended by then may be gone
	spent    BIGINT NOT NULL,            -- drawn on those that are, without openings
	accounts BIGINT NOT NULL,
	PRIMARY KEY (org_id, key_id, meter, period)
);
CREATE INDEX quota_account_ended ON quota_account (end_at) WHERE period IN ('minute', 'hour', 'day');
