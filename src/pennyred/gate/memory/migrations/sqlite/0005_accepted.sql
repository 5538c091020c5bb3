-- Stamps accepted while their office did not answer (on_office_down = "accept"), and whose that is done for.

CREATE TABLE settled_account (
  issuer TEXT NOT NULL,
  account TEXT NOT NULL,
  last_at INTEGER NOT NULL,             -- when a stamp of it was last settled, noted once a day
  unredeemed INTEGER NOT NULL,          -- stamps accepted that its office would not pay: it is not trusted again
  PRIMARY KEY (issuer, account)
) STRICT;

CREATE INDEX settled_account_by_last_at ON settled_account (last_at);

CREATE TABLE accepted (
  issuer TEXT NOT NULL,
  account TEXT NOT NULL,
  expiry_day INTEGER NOT NULL,
  serial BLOB NOT NULL,
  letter BLOB NOT NULL,
  tx BLOB NOT NULL,
  domain TEXT NOT NULL,
  stamp BLOB NOT NULL,                  -- as it will be presented, without the salt
  price INTEGER NOT NULL,
  state TEXT NOT NULL,                  -- taken: being delivered; owed: delivered; redeemed, lost: over, kept as spent
  lease_until INTEGER NOT NULL,
  accepted_at INTEGER NOT NULL,
  retry_at INTEGER NOT NULL,
  PRIMARY KEY (issuer, account, expiry_day, serial)
) STRICT;

CREATE INDEX accepted_by_state ON accepted (state, accepted_at);

CREATE TABLE accepting (                -- one row: who changes it first may count; the others wait
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  changes INTEGER NOT NULL
) STRICT;
