-- A gate's own memory, shared by sister gates; what each table is for, the migrations for SQLite say.

CREATE TABLE counter (
  day bigint NOT NULL,
  key bytea NOT NULL,
  used bigint NOT NULL,
  PRIMARY KEY (day, key)
);

CREATE TABLE outbox (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  issuer text NOT NULL,
  account text NOT NULL,
  expiry_day bigint NOT NULL,
  serial bytea NOT NULL,
  letter bytea NOT NULL,
  added_at bigint NOT NULL,
  attempts bigint NOT NULL,
  UNIQUE (issuer, account, expiry_day, serial, letter)
);

CREATE TABLE partly (
  letter bytea PRIMARY KEY,
  day bigint NOT NULL
);
CREATE INDEX partly_by_day ON partly (day);

CREATE TABLE figure (
  day bigint NOT NULL,
  mode text NOT NULL,
  outcome text NOT NULL,
  reason text NOT NULL,
  by_bulk bigint NOT NULL,
  by_require bigint NOT NULL,
  recipients bigint NOT NULL,
  PRIMARY KEY (day, mode, outcome, reason, by_bulk, by_require)
);

CREATE TABLE figure_letters (
  day bigint NOT NULL,
  mode text NOT NULL,
  letters bigint NOT NULL,
  PRIMARY KEY (day, mode)
);

CREATE TABLE figure_source (
  day bigint NOT NULL,
  source text NOT NULL,
  sender_domain text NOT NULL,
  refused bigint NOT NULL,
  would_refuse bigint NOT NULL,
  PRIMARY KEY (day, source)
);

CREATE TABLE secret (
  one integer PRIMARY KEY CHECK (one = 1),
  salt bytea NOT NULL
);
INSERT INTO secret VALUES (1, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

CREATE TABLE correspondent (
  "user" text NOT NULL,
  other bytea NOT NULL,
  last_day bigint NOT NULL,
  origin text NOT NULL,
  PRIMARY KEY ("user", other)
);
CREATE INDEX correspondent_by_day ON correspondent (last_day);

CREATE TABLE sent (
  letter bytea PRIMARY KEY,
  day bigint NOT NULL,
  used bigint NOT NULL
);
CREATE INDEX sent_by_day ON sent (day);

CREATE TABLE permit (
  "user" text NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  proof text NOT NULL,
  added_day bigint NOT NULL,
  last_day bigint,
  PRIMARY KEY ("user", kind, name, proof)
);

CREATE TABLE expected (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  "user" text NOT NULL,
  domain text NOT NULL,
  until_at bigint NOT NULL,
  used bigint NOT NULL
);
CREATE INDEX expected_by_user ON expected ("user", until_at);

CREATE TABLE recipient_rule (
  name text PRIMARY KEY,
  price bigint,
  mode text,
  is_free bigint NOT NULL
);

CREATE TABLE settled_account (
  issuer text NOT NULL,
  account text NOT NULL,
  last_at bigint NOT NULL,
  unredeemed bigint NOT NULL,
  PRIMARY KEY (issuer, account)
);
CREATE INDEX settled_account_by_last_at ON settled_account (last_at);

CREATE TABLE accepted (
  issuer text NOT NULL,
  account text NOT NULL,
  expiry_day bigint NOT NULL,
  serial bytea NOT NULL,
  letter bytea NOT NULL,
  tx bytea NOT NULL,
  domain text NOT NULL,
  stamp bytea NOT NULL,
  price bigint NOT NULL,
  state text NOT NULL,
  lease_until bigint NOT NULL,
  accepted_at bigint NOT NULL,
  retry_at bigint NOT NULL,
  PRIMARY KEY (issuer, account, expiry_day, serial)
);
CREATE INDEX accepted_by_state ON accepted (state, accepted_at);

CREATE TABLE accepting (
  one integer PRIMARY KEY CHECK (one = 1),
  changes bigint NOT NULL
);
