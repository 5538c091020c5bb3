-- The time that has really passed (storage/passing.py): what is forgotten goes by it, and not by one look at a clock.

CREATE TABLE passed_time (
  one integer PRIMARY KEY CHECK (one = 1),
  believed_at bigint NOT NULL,          -- moved on by what has passed since the last look; 0: nobody has looked yet
  forget_at bigint NOT NULL,            -- the earlier one of that and of the clocks
  clock_at bigint NOT NULL              -- of who looked last
) WITH (fillfactor = 10);
INSERT INTO passed_time VALUES (1, 0, 0, 0);

CREATE TABLE passed_clock (
  looker text PRIMARY KEY,              -- a process that looks
  clock_at bigint NOT NULL
) WITH (fillfactor = 10);
