-- Whole stamps as integers, double entry. Every key of what redemptions write begins with the account: they lock one
-- account's row, and the receivers' and the chain's for a moment at the end. Names sort by octets, whatever the locale.
-- Where rows are written over and over, pages are left half empty for the new versions, and are swept often.

CREATE TABLE account (
  id text COLLATE "C" PRIMARY KEY,
  address text NOT NULL,
  public_key bytea,                     -- a sender's; null otherwise
  daily_cap bigint NOT NULL,
  is_open boolean NOT NULL,
  opened_at bigint NOT NULL,
  balance bigint NOT NULL,              -- always the sum of its postings
  held bigint NOT NULL,                 -- always the sum of its open holds
  spent bigint NOT NULL,                -- settled less refunded
  CHECK (held >= 0 AND (held <= balance OR id LIKE 'office:%'))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE UNIQUE INDEX account_by_key ON account (public_key) WHERE public_key IS NOT NULL;

INSERT INTO account VALUES
  ('office:sales', '', NULL, 0, true, 0, 0, 0, 0), ('office:vouchers', '', NULL, 0, true, 0, 0, 0, 0);

CREATE SEQUENCE entry_id;

CREATE TABLE posting (
  account text COLLATE "C" NOT NULL,
  number bigint NOT NULL,               -- 1, 2, 3 for each account
  entry_id bigint NOT NULL,             -- the postings of an entry sum to 0; below 0: of a day (ledger/daily.py)
  at bigint NOT NULL,
  kind text NOT NULL,
  detail text NOT NULL,
  amount bigint NOT NULL,
  balance bigint NOT NULL,              -- the account's, after it
  PRIMARY KEY (account, number)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- The open holds of all days: few rows, written over and over.
CREATE TABLE hold (
  account text COLLATE "C" NOT NULL,
  expiry_day integer NOT NULL,
  serial bytea NOT NULL,
  receiver text NOT NULL,
  domain text NOT NULL,
  letter bytea NOT NULL,
  tx bytea NOT NULL,
  price bigint NOT NULL,
  cap_day integer NOT NULL,             -- the UTC day whose cap it was counted on
  lease_until bigint NOT NULL,
  PRIMARY KEY (account, expiry_day, serial)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX hold_by_lease ON hold (lease_until);

-- Stamps no longer held: a partition for each expiry day (ledger/postgresql/days.py), dropped whole.
CREATE TABLE stamp (
  account text COLLATE "C" NOT NULL,
  expiry_day integer NOT NULL,
  serial bytea NOT NULL,
  state smallint NOT NULL,
  receiver text NOT NULL,
  domain text NOT NULL,
  letter bytea NOT NULL,
  price bigint NOT NULL,
  cap_day integer NOT NULL,
  settled_at bigint NOT NULL,
  place bigint NOT NULL,                -- in the chain: the batch's id and the index in it; 0 for none
  PRIMARY KEY (account, expiry_day, serial)
) PARTITION BY RANGE (expiry_day);

-- What the daily cap counts.
CREATE TABLE daily_use (
  account text COLLATE "C" NOT NULL,
  day integer NOT NULL,
  stamps bigint NOT NULL,
  PRIMARY KEY (account, day)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- What the sweeper decides by: how many holds a sender had at a receiver, how many were voided in doubt.
CREATE TABLE pair_use (
  account text COLLATE "C" NOT NULL,
  receiver text NOT NULL,
  day integer NOT NULL,
  holds bigint NOT NULL,
  in_doubt bigint NOT NULL,
  PRIMARY KEY (account, receiver, day)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- Which partitions there are, and what was ever settled and refunded in each.
CREATE TABLE stamp_day (
  day integer PRIMARY KEY,
  settled bigint NOT NULL DEFAULT 0,
  refunded bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);

-- The last dropped day, and the totals of all dropped ones.
CREATE TABLE floor (
  one integer PRIMARY KEY CHECK (one = 1),
  day integer NOT NULL,
  settled bigint NOT NULL,
  refunded bigint NOT NULL
);
INSERT INTO floor VALUES (1, 0, 0, 0);

-- The chain of the journal: its newest link, all links, and the hashes of their details, which go with their day.
CREATE SEQUENCE batch_id;

CREATE TABLE chain (
  one integer PRIMARY KEY CHECK (one = 1),
  number bigint NOT NULL,
  sold bigint NOT NULL,
  settled bigint NOT NULL,
  refunded bigint NOT NULL,
  hash bytea NOT NULL
) WITH (fillfactor = 10);
INSERT INTO chain VALUES (1, 0, 0, 0, 0, decode(repeat('00', 32), 'hex'));

CREATE TABLE batch (
  number bigint PRIMARY KEY,            -- 1, 2, 3 without a gap
  id bigint NOT NULL UNIQUE,            -- what places name it by: known before its number is
  at bigint NOT NULL,
  sold bigint NOT NULL,                 -- totals of the ledger, this batch included
  settled bigint NOT NULL,
  refunded bigint NOT NULL,
  count integer NOT NULL,
  root bytea NOT NULL,
  hash bytea NOT NULL
);

CREATE TABLE detail (
  id bigint PRIMARY KEY,                -- the batch's
  last_day integer NOT NULL,            -- forgotten when the ledger's floor reaches it
  hashes bytea NOT NULL
);
CREATE INDEX detail_by_day ON detail (last_day);

CREATE TABLE voucher (
  hash bytea PRIMARY KEY,
  stamps bigint NOT NULL,
  created_at bigint NOT NULL,
  account text COLLATE "C",             -- who redeemed it
  redeemed_at bigint
);

CREATE TABLE receiver (
  name text COLLATE "C" PRIMARY KEY,
  domains text[] NOT NULL,
  token_hash bytea NOT NULL UNIQUE,
  added_at bigint NOT NULL
);

-- Ids of senders' tokens that may not be used twice; gone soon after they expire.
CREATE TABLE token_seen (
  hash bytea PRIMARY KEY,
  expires_at bigint NOT NULL
);
CREATE INDEX token_seen_by_expiry ON token_seen (expires_at);
