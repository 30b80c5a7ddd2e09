-- Organizations as billing providers know them. An organization's last usage
-- is reported after its end too, so the row goes with neither; no customer is
-- unique: a company may have several organizations on one.
CREATE TABLE billing_customer (
	org_id     TEXT NOT NULL,
	provider   TEXT NOT NULL,
	customer   TEXT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (org_id, provider)
);
