-- A gate's own memory: what came free today, and the settlements an office has not confirmed yet.

CREATE TABLE counter (
  day INTEGER NOT NULL,
  key BLOB NOT NULL,                    -- a hash: no address of anybody is kept
  used INTEGER NOT NULL,
  PRIMARY KEY (day, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,  -- never used twice: a late "done" must not hit another settlement
  issuer TEXT NOT NULL,
  account TEXT NOT NULL,
  expiry_day INTEGER NOT NULL,
  serial BLOB NOT NULL,
  letter BLOB NOT NULL,
  added_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  UNIQUE (issuer, account, expiry_day, serial, letter)
) STRICT;
