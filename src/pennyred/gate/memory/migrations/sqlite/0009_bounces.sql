-- What answers our letters from `<>`: counted apart from other replies; and the addresses of ours that are bounced to.

ALTER TABLE sent ADD COLUMN bounced INTEGER NOT NULL DEFAULT 0;

CREATE TABLE bounce_address (
  address BLOB NOT NULL PRIMARY KEY,    -- a hash of a MAIL FROM of ours that is nobody's mailbox
  day INTEGER NOT NULL,                 -- of the last letter that left with it
  letters INTEGER NOT NULL,             -- so many have
  used INTEGER NOT NULL                 -- so many came back
) STRICT, WITHOUT ROWID;

CREATE INDEX bounce_address_by_day ON bounce_address (day);
