-- As 0012_probes.sql of SQLite.

CREATE TABLE probe (
  token text PRIMARY KEY,
  account text NOT NULL,
  opened_at bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX probe_by_expiry ON probe (expires_at);
CREATE INDEX probe_by_account ON probe (account);

CREATE TABLE probe_arrival (
  token text NOT NULL,
  number bigint NOT NULL,
  found bytea NOT NULL,
  PRIMARY KEY (token, number)
);
