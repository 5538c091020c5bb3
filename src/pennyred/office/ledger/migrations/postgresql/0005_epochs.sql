-- New beginnings of the chain, after the ledger was restored from a backup: heads behind `follows` commit to them.

CREATE TABLE epoch (
  follows bigint PRIMARY KEY,           -- the number of the last head of before
  id bytea NOT NULL,                    -- 16 random octets
  at bigint NOT NULL
);

ALTER TABLE chain ADD COLUMN epochs bytea NOT NULL DEFAULT '';  -- what the next link commits to, as octets
