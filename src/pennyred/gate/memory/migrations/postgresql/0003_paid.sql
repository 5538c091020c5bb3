-- As 0007_paid.sql of SQLite.

CREATE TABLE spent_stamp (
  stamp bytea PRIMARY KEY,
  letter bytea NOT NULL,
  expiry_day bigint NOT NULL
);
CREATE INDEX spent_stamp_by_day ON spent_stamp (expiry_day);

CREATE TABLE paid_name (
  recipient text NOT NULL,
  name text NOT NULL,
  day bigint NOT NULL,
  PRIMARY KEY (recipient, name)
);
CREATE INDEX paid_name_by_day ON paid_name (day);
