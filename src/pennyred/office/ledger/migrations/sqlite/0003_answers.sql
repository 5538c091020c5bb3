-- Answers that are given again to a request with the same idempotency key.

CREATE TABLE answer (
  name BLOB NOT NULL PRIMARY KEY,       -- a hash of who asked, where, and the key
  body_hash BLOB NOT NULL,              -- of the request
  answer BLOB NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX answer_by_expiry ON answer (expires_at);
