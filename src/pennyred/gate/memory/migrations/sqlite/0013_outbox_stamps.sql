-- A settlement waits with its stamp, which pays it where the hold is forgotten; and may be put off.

ALTER TABLE outbox ADD COLUMN stamp BLOB NOT NULL DEFAULT x'';     -- as it is presented, without the salt; may be empty
ALTER TABLE outbox ADD COLUMN domain TEXT NOT NULL DEFAULT '';     -- the recipient's, with the stamp
ALTER TABLE outbox ADD COLUMN retry_at INTEGER NOT NULL DEFAULT 0;
