-- Keys of post offices as DNS had them; what each column is for, the migration for SQLite says.

CREATE TABLE office_key (
  issuer text NOT NULL,
  selector text NOT NULL,
  key bytea NOT NULL,
  is_authenticated bigint NOT NULL,
  confirmed_at bigint NOT NULL,
  PRIMARY KEY (issuer, selector)
);
