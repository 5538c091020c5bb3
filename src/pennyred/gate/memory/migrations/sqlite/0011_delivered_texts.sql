-- Which text each stamp has paid for here: a letter that comes again by another path is told so.

CREATE TABLE delivered_text (
  place INTEGER NOT NULL PRIMARY KEY,   -- by the stamp's hash: there are no more than so many
  stamp BLOB NOT NULL,                  -- a hash of issuer, account, expiry day and serial
  text BLOB NOT NULL,                   -- a digest of the text, salted with the stamp's salt
  expiry_day INTEGER NOT NULL,
  delivered_at INTEGER NOT NULL
) STRICT;

CREATE INDEX delivered_text_by_day ON delivered_text (expiry_day);
