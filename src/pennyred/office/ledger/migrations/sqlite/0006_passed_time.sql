-- The time that has really passed (storage/passing.py): what is forgotten goes by it, and not by one look at a clock.

CREATE TABLE passed_time (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  believed_at INTEGER NOT NULL,         -- moved on by what has passed since the last look; 0: nobody has looked yet
  forget_at INTEGER NOT NULL,           -- the earlier one of that and of the clocks
  clock_at INTEGER NOT NULL             -- of who looked last
) STRICT;
INSERT INTO passed_time VALUES (1, 0, 0, 0);

CREATE TABLE passed_clock (
  looker TEXT NOT NULL PRIMARY KEY,     -- a process that looks
  clock_at INTEGER NOT NULL
) STRICT;
