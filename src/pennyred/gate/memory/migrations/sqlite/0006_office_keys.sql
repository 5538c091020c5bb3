-- Keys of post offices as DNS had them, for a day on which it does not answer.

CREATE TABLE office_key (
  issuer TEXT NOT NULL,
  selector TEXT NOT NULL,
  key BLOB NOT NULL,
  is_authenticated INTEGER NOT NULL,    -- by DNSSEC
  confirmed_at INTEGER NOT NULL,        -- when DNS last had it
  PRIMARY KEY (issuer, selector)
) STRICT, WITHOUT ROWID;
