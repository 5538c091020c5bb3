-- The chain of the journal: a head for each batch, kept for ever, and the hashes of its details, which go with their day.

CREATE TABLE batch (
  number INTEGER NOT NULL PRIMARY KEY,  -- 1, 2, 3 without a gap
  at INTEGER NOT NULL,
  sold INTEGER NOT NULL,                -- totals of the ledger, this batch included
  settled INTEGER NOT NULL,
  refunded INTEGER NOT NULL,
  count INTEGER NOT NULL,               -- of details
  root BLOB NOT NULL,                   -- the Merkle root of their hashes
  hash BLOB NOT NULL                    -- of all this and of the hash before
) STRICT;

CREATE TABLE detail (
  number INTEGER NOT NULL PRIMARY KEY,
  last_day INTEGER NOT NULL,            -- forgotten when the ledger's floor reaches it
  hashes BLOB NOT NULL                  -- 32 bytes each, in the order of their places
) STRICT;
CREATE INDEX detail_by_day ON detail (last_day);
