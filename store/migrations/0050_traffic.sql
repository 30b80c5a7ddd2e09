-- What passed the gate, for people to look at (app/traffic). unit is the
-- length of a row in seconds: 60 or 3600. org_id '' is the whole gate.
CREATE TABLE traffic (
    unit     BIGINT NOT NULL,
    start_at BIGINT NOT NULL,
    org_id   TEXT   NOT NULL,
    replica  TEXT   NOT NULL,
    allowed  BIGINT NOT NULL,
    refused  BIGINT NOT NULL,
    failed   BIGINT NOT NULL,
    latency  BYTEA,
    own      BYTEA,
    PRIMARY KEY (unit, start_at, org_id, replica)
);

CREATE TABLE traffic_refusal (
    unit     BIGINT NOT NULL,
    start_at BIGINT NOT NULL,
    code     TEXT   NOT NULL,
    replica  TEXT   NOT NULL,
    count    BIGINT NOT NULL,
    PRIMARY KEY (unit, start_at, code, replica)
);
