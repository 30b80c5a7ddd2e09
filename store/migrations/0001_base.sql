-- What running nodes follow: one number for all of them, and the last changes.
CREATE TABLE revision (
	id  BIGINT PRIMARY KEY CHECK (id = 1),
	seq BIGINT NOT NULL
);
INSERT INTO revision (id, seq) VALUES (1, 0);

CREATE TABLE change (
	seq    BIGINT PRIMARY KEY,
	noun   TEXT NOT NULL,
	ref    TEXT NOT NULL,             -- the object's id, slug or name
	org_id TEXT NOT NULL,             -- empty: of no organization
	at     BIGINT NOT NULL
);
