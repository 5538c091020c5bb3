-- As 0013_outbox_stamps.sql of SQLite.

ALTER TABLE outbox ADD COLUMN stamp bytea NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN domain text NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN retry_at bigint NOT NULL DEFAULT 0;
