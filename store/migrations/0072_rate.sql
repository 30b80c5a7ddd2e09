-- What models cost the operator. Prices are decimal texts, dollars for a
-- million tokens; an empty one is that of input.
CREATE TABLE rate (
	model       TEXT NOT NULL,        -- a trailing * matches any rest
	valid_from  BIGINT NOT NULL,
	provider    TEXT NOT NULL,
	input       TEXT NOT NULL,
	output      TEXT NOT NULL,
	cache_read  TEXT NOT NULL,
	cache_write TEXT NOT NULL,
	max_input   BIGINT NOT NULL,      -- tokens; 0: not known
	max_output  BIGINT NOT NULL,
	PRIMARY KEY (model, valid_from)
);
