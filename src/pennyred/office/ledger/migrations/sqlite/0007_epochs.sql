-- New beginnings of the chain, after the ledger was restored from a backup: heads behind `follows` commit to them.

CREATE TABLE epoch (
  follows INTEGER NOT NULL PRIMARY KEY, -- the number of the last head of before
  id BLOB NOT NULL,                     -- 16 random octets
  at INTEGER NOT NULL
) STRICT;
