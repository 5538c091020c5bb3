-- Wanted mail: whom our users write to, which letters of theirs have left, and what they have permitted.

CREATE TABLE secret (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  salt BLOB NOT NULL                    -- in the hashes below, so that no list of two gates can be laid side by side
) STRICT;

INSERT INTO secret VALUES (1, randomblob(32));

CREATE TABLE correspondent (
  user TEXT NOT NULL,                   -- our user, canonical
  other BLOB NOT NULL,                  -- a hash of user and correspondent: who writes to whom cannot be read here
  last_day INTEGER NOT NULL,
  origin TEXT NOT NULL,                 -- outgoing, import, command, release
  PRIMARY KEY (user, other)
) STRICT, WITHOUT ROWID;

CREATE INDEX correspondent_by_day ON correspondent (last_day);

CREATE TABLE sent (
  letter BLOB NOT NULL PRIMARY KEY,     -- a hash of user and Message-ID
  day INTEGER NOT NULL,
  used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sent_by_day ON sent (day);

CREATE TABLE permit (
  user TEXT NOT NULL,                   -- an address, a domain, or * for everybody
  kind TEXT NOT NULL,                   -- list, domain or address
  name TEXT NOT NULL,
  proof TEXT NOT NULL,                  -- a domain or network instead of the kind's own proof
  added_day INTEGER NOT NULL,
  last_day INTEGER,                     -- NULL: for ever
  PRIMARY KEY (user, kind, name, proof)
) STRICT, WITHOUT ROWID;

CREATE TABLE expected (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  user TEXT NOT NULL,
  domain TEXT NOT NULL,                 -- who must vouch; empty: whoever writes
  until_at INTEGER NOT NULL,
  used INTEGER NOT NULL
) STRICT;

CREATE INDEX expected_by_user ON expected (user, until_at);

CREATE TABLE recipient_rule (
  name TEXT NOT NULL PRIMARY KEY,       -- an address or a domain
  price INTEGER,
  mode TEXT,
  is_free INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
