-- Letters that some of their recipients have had and others must wait for, where no stamp says who is who.

CREATE TABLE partly (
  letter BLOB NOT NULL PRIMARY KEY,     -- a hash of the letter and one recipient
  day INTEGER NOT NULL                  -- of the last attempt
) STRICT, WITHOUT ROWID;

CREATE INDEX partly_by_day ON partly (day);
