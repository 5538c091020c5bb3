-- As 0011_delivered_texts.sql of SQLite.

CREATE TABLE delivered_text (
  place bigint PRIMARY KEY,
  stamp bytea NOT NULL,
  text bytea NOT NULL,
  expiry_day bigint NOT NULL,
  delivered_at bigint NOT NULL
);
CREATE INDEX delivered_text_by_day ON delivered_text (expiry_day);
