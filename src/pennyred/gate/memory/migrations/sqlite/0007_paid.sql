-- Stamps that letters were delivered for, while their office answered: in an outage they are not accepted on trust again.

CREATE TABLE spent_stamp (
  stamp BLOB NOT NULL PRIMARY KEY,      -- a hash of issuer, account, expiry day and serial
  letter BLOB NOT NULL,                 -- the letter hash of its first use; empty where only an office knows it
  expiry_day INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX spent_stamp_by_day ON spent_stamp (expiry_day);

-- Under which other names (aliases) stamps have paid for recipients: the alias may be gone when the letter comes again.

CREATE TABLE paid_name (
  recipient TEXT NOT NULL,              -- ours, canonical
  name TEXT NOT NULL,                   -- whom the stamp was made out to: ours too
  day INTEGER NOT NULL,                 -- of the last time
  PRIMARY KEY (recipient, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX paid_name_by_day ON paid_name (day);
