-- How many recipients of stamped letters each row of the table of alterations has decided about, by day.

CREATE TABLE figure_row (
  day INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  row TEXT NOT NULL,                    -- its name (postage.alteration.Row)
  recipients INTEGER NOT NULL,
  PRIMARY KEY (day, outcome, row)
) STRICT, WITHOUT ROWID;
