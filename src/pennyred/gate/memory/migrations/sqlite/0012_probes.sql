-- Letters to the mirror: what a sender asked to be told, and what was found of each letter that came.

CREATE TABLE probe (
  token TEXT NOT NULL PRIMARY KEY,      -- 128 random bits; whoever has it may read what was found
  account TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX probe_by_expiry ON probe (expires_at);
CREATE INDEX probe_by_account ON probe (account);

CREATE TABLE probe_arrival (
  token TEXT NOT NULL,
  number INTEGER NOT NULL,
  found BLOB NOT NULL,                  -- JSON, see http/probes.py
  PRIMARY KEY (token, number)
) STRICT, WITHOUT ROWID;
