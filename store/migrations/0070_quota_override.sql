-- Quotas of one organization, or of one of its keys, beside the plan's or in
-- the place of them; and in which time zone a plan's days and months begin.
CREATE TABLE quota_override (
	org_id     TEXT NOT NULL REFERENCES org (id) ON DELETE CASCADE,
	key_id     TEXT NOT NULL,          -- '': the whole organization's
	meter      TEXT NOT NULL,
	period     TEXT NOT NULL,
	definition TEXT NOT NULL,          -- JSON, all that is not a column
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (org_id, key_id, meter, period)
);

ALTER TABLE plan ADD COLUMN time_zone TEXT NOT NULL DEFAULT '';
