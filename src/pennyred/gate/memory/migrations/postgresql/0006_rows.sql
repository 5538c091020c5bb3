-- As 0010_rows.sql of SQLite.

CREATE TABLE figure_row (
  day bigint NOT NULL,
  outcome text NOT NULL,
  "row" text NOT NULL,
  recipients bigint NOT NULL,
  PRIMARY KEY (day, outcome, "row")
);
