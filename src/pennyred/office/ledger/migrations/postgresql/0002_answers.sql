-- Answers that are given again to a request with the same idempotency key.

CREATE TABLE answer (
  name bytea PRIMARY KEY,               -- a hash of who asked, where, and the key
  body_hash bytea NOT NULL,             -- of the request
  answer bytea NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX answer_by_expiry ON answer (expires_at);
