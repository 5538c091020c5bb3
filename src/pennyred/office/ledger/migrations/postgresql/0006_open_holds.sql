-- Holds that need not last (`Ledger.hold`): they are not flushed, and a crash or a failover forgets them all. What they
-- hold is counted nowhere else: no account, cap or pair knows of them until they are written into `hold`, a second
-- later, or settled. So nothing has to be put right when they are gone.
CREATE UNLOGGED TABLE open_hold (
  account text COLLATE "C" NOT NULL,
  expiry_day integer NOT NULL,
  serial bytea NOT NULL,
  receiver text NOT NULL,
  domain text NOT NULL,
  letter bytea NOT NULL,
  tx bytea NOT NULL,
  price bigint NOT NULL,
  cap_day integer NOT NULL,
  lease_until bigint NOT NULL,
  PRIMARY KEY (account, expiry_day, serial)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
