-- What vendors price apart: cache writes that are kept for an hour, searches
-- that they run, and other prices for long prompts, tiers and regions.
ALTER TABLE rate ADD COLUMN cache_write_long TEXT NOT NULL DEFAULT '';
ALTER TABLE rate ADD COLUMN search TEXT NOT NULL DEFAULT '';
ALTER TABLE rate ADD COLUMN variants TEXT NOT NULL DEFAULT 'null';  -- JSON
