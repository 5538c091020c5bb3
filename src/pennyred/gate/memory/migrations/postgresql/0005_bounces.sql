-- As 0009_bounces.sql of SQLite.

ALTER TABLE sent ADD COLUMN bounced bigint NOT NULL DEFAULT 0;

CREATE TABLE bounce_address (
  address bytea PRIMARY KEY,
  day bigint NOT NULL,
  letters bigint NOT NULL,
  used bigint NOT NULL
);
CREATE INDEX bounce_address_by_day ON bounce_address (day);
