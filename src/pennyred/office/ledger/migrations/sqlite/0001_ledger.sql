-- Whole stamps as integers, double entry. Keys begin with the account wherever redemptions write.
-- Stamps no longer held are in one table per expiry day, stamp_<day>, made on demand (ledger/sqlite/stamps.py).

CREATE TABLE account (
  id TEXT NOT NULL PRIMARY KEY,
  address TEXT NOT NULL,
  public_key BLOB,                      -- a sender's; null otherwise
  daily_cap INTEGER NOT NULL,
  is_open INTEGER NOT NULL,
  opened_at INTEGER NOT NULL,
  balance INTEGER NOT NULL,             -- always the sum of its postings
  held INTEGER NOT NULL,                -- always the sum of its open holds
  spent INTEGER NOT NULL,               -- settled less refunded
  CHECK (held >= 0 AND (held <= balance OR id GLOB 'office:*'))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX account_by_key ON account (public_key) WHERE public_key IS NOT NULL;

INSERT INTO account VALUES ('office:sales', '', NULL, 0, 1, 0, 0, 0, 0), ('office:vouchers', '', NULL, 0, 1, 0, 0, 0, 0);

CREATE TABLE entry (
  id INTEGER NOT NULL PRIMARY KEY,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;

CREATE TABLE posting (
  account TEXT NOT NULL,
  entry_id INTEGER NOT NULL,
  amount INTEGER NOT NULL,              -- the postings of an entry sum to 0
  balance INTEGER NOT NULL,             -- the account's, after it
  PRIMARY KEY (account, entry_id)
) STRICT, WITHOUT ROWID;

-- The open holds of all days. Beside the tables of the days, because these few rows are written over and over: so a
-- redemption touches one page of a large table, not two.
CREATE TABLE hold (
  account TEXT NOT NULL,
  expiry_day INTEGER NOT NULL,
  serial BLOB NOT NULL,
  receiver TEXT NOT NULL,
  domain TEXT NOT NULL,
  letter BLOB NOT NULL,
  tx BLOB NOT NULL,
  price INTEGER NOT NULL,
  cap_day INTEGER NOT NULL,             -- the UTC day whose cap it was counted on
  lease_until INTEGER NOT NULL,
  PRIMARY KEY (account, expiry_day, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX hold_by_lease ON hold (lease_until);

-- What the daily cap counts.
CREATE TABLE daily_use (
  account TEXT NOT NULL,
  day INTEGER NOT NULL,
  stamps INTEGER NOT NULL,
  PRIMARY KEY (account, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX daily_use_by_day ON daily_use (day);

-- What the sweeper decides by: how many holds a sender had at a receiver, how many were voided in doubt.
CREATE TABLE pair_use (
  account TEXT NOT NULL,
  receiver TEXT NOT NULL,
  day INTEGER NOT NULL,
  holds INTEGER NOT NULL,
  in_doubt INTEGER NOT NULL,
  PRIMARY KEY (account, receiver, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX pair_use_by_day ON pair_use (day);

-- Which stamp tables there are, and what was ever settled and refunded in each.
CREATE TABLE stamp_day (
  day INTEGER NOT NULL PRIMARY KEY,
  settled INTEGER NOT NULL,
  refunded INTEGER NOT NULL
) STRICT;

-- The last dropped day, and the totals of all dropped ones.
CREATE TABLE floor (
  only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
  day INTEGER NOT NULL,
  settled INTEGER NOT NULL,
  refunded INTEGER NOT NULL
) STRICT;
INSERT INTO floor VALUES (1, 0, 0, 0);

CREATE TABLE voucher (
  hash BLOB NOT NULL PRIMARY KEY,
  stamps INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  account TEXT,                         -- who redeemed it
  redeemed_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE receiver (
  name TEXT NOT NULL PRIMARY KEY,
  domains TEXT NOT NULL,                -- a JSON list
  token_hash BLOB NOT NULL UNIQUE,
  added_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Ids of senders' tokens that may not be used twice; gone soon after they expire.
CREATE TABLE token_seen (
  hash BLOB NOT NULL PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_seen_by_expiry ON token_seen (expires_at);
