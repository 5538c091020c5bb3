-- What became of mail, added up by UTC day, for `pennyred report`. No letter and no recipient is named.

CREATE TABLE figure (
  day INTEGER NOT NULL,                 -- days since 1970-01-01 UTC
  mode TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  by_bulk INTEGER NOT NULL,             -- whether mode "bulk" refuses it: 0 no, 1 yes, -1 not known
  by_require INTEGER NOT NULL,          -- whether mode "require" does
  recipients INTEGER NOT NULL,
  PRIMARY KEY (day, mode, outcome, reason, by_bulk, by_require)
) STRICT, WITHOUT ROWID;

CREATE TABLE figure_letters (
  day INTEGER NOT NULL,
  mode TEXT NOT NULL,
  letters INTEGER NOT NULL,
  PRIMARY KEY (day, mode)
) STRICT, WITHOUT ROWID;

CREATE TABLE figure_source (
  day INTEGER NOT NULL,
  source TEXT NOT NULL,                 -- a network or a domain
  sender_domain TEXT NOT NULL,          -- the last one it said it was
  refused INTEGER NOT NULL,
  would_refuse INTEGER NOT NULL,        -- by mode "require", though it was not refused
  PRIMARY KEY (day, source)
) STRICT, WITHOUT ROWID;
