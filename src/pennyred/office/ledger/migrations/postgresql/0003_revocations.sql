-- Licences that count no more, because the account was closed or has another key: for gates that accept on trust.

CREATE TABLE revocation (
  number bigint PRIMARY KEY,            -- in the order in which they were revoked, also as others see it
  fingerprint bytea NOT NULL UNIQUE     -- a hash of account and key
);
