-- Quotas: accounts that usage is held against, what replicas were lent of
-- them, notices of the ladder, and reservations (app/quota).

-- One organization ('' as key_id) or key, meter and period. It is never
-- reset: the next period has a row of its own. spent and held are folded from
-- the ledger's blocks alone; spent holds opening.
CREATE TABLE quota_account (
	org_id     TEXT NOT NULL,
	key_id     TEXT NOT NULL,
	meter      TEXT NOT NULL,
	period     TEXT NOT NULL,
	start_at   BIGINT NOT NULL,
	end_at     BIGINT NOT NULL,          -- not part of it; 0: never
	spent      BIGINT NOT NULL,
	held       BIGINT NOT NULL,          -- part of spent: worst cases under way
	booked     BIGINT NOT NULL,          -- open reservations
	opening    BIGINT NOT NULL,          -- used before opened_at, without draws
	opened_at  BIGINT NOT NULL,          -- 0: known by draws alone, opening not yet asked for
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (org_id, key_id, meter, period, start_at)
);
CREATE INDEX quota_account_updated ON quota_account (updated_at);

-- What a replica was lent and its applied blocks have not spent; below 0 when
-- they spent more. spent + lent + booked never passes the ceiling by a loan.
CREATE TABLE quota_lease (
	org_id      TEXT NOT NULL,
	key_id      TEXT NOT NULL,
	meter       TEXT NOT NULL,
	period      TEXT NOT NULL,
	start_at    BIGINT NOT NULL,
	replica     BIGINT NOT NULL,
	outstanding BIGINT NOT NULL,
	lent        BIGINT NOT NULL,         -- in all: tells a replica what became of a loan without an answer
	turn        BIGINT NOT NULL,         -- grows by one with each loan or return
	PRIMARY KEY (org_id, key_id, meter, period, start_at, replica)
);
CREATE INDEX quota_lease_replica ON quota_lease (replica);

-- An account passed a threshold (per cent of its limit then): once, ever.
CREATE TABLE quota_notice (
	org_id     TEXT NOT NULL,
	key_id     TEXT NOT NULL,
	meter      TEXT NOT NULL,
	period     TEXT NOT NULL,
	start_at   BIGINT NOT NULL,
	threshold  BIGINT NOT NULL,
	id         TEXT NOT NULL UNIQUE,
	amount     BIGINT NOT NULL,          -- the limit
	used       BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (org_id, key_id, meter, period, start_at, threshold)
);
CREATE INDEX quota_notice_created ON quota_notice (created_at, id);

-- Work of the operator's app for which room was booked before it began.
CREATE TABLE quota_reservation (
	id         TEXT PRIMARY KEY,
	org_id     TEXT NOT NULL,
	key_id     TEXT NOT NULL,
	meter      TEXT NOT NULL,
	dims       TEXT NOT NULL,
	amount     BIGINT NOT NULL,
	used       BIGINT NOT NULL,          -- as the app told last
	state      TEXT NOT NULL,
	estimated  BOOLEAN NOT NULL,
	life       BIGINT NOT NULL,          -- ms: expires when it is silent for so long
	accounts   TEXT NOT NULL,            -- JSON: on which accounts the amount is booked
	created_at BIGINT NOT NULL,
	heard_at   BIGINT NOT NULL,          -- the last heartbeat
	expires_at BIGINT NOT NULL,
	ended_at   BIGINT NOT NULL,          -- 0: it runs
	event_replica BIGINT NOT NULL,       -- the block that counts it; 0: not yet written
	event_seq  BIGINT NOT NULL,
	booked     BOOLEAN NOT NULL          -- the accounts still hold the amount
);
CREATE INDEX quota_reservation_org ON quota_reservation (org_id, created_at, id);
CREATE INDEX quota_reservation_open ON quota_reservation (expires_at) WHERE state = 'open';
CREATE INDEX quota_reservation_booked ON quota_reservation (ended_at) WHERE booked;

-- only postgres
-- Both are updated four times a second while they are current.
ALTER TABLE quota_account SET (fillfactor = 60);
ALTER TABLE quota_lease SET (fillfactor = 60);
-- end
