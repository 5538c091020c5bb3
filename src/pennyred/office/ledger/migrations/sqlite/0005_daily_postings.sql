-- One entry a day for each kind of payment (ledger/daily.py), so that the journal keeps no contact graph for ever.
-- An account's postings have numbers of their own: its last one grows while the day and the kind are the same.
-- Payments of before are folded into their days.

CREATE TABLE line (
  account TEXT NOT NULL,
  number INTEGER NOT NULL,              -- 1, 2, 3 for each account
  entry_id INTEGER NOT NULL,
  amount INTEGER NOT NULL,              -- the postings of an entry sum to 0
  balance INTEGER NOT NULL,             -- the account's, after it
  PRIMARY KEY (account, number)
) STRICT, WITHOUT ROWID;

WITH aimed AS (
  SELECT account, entry_id, amount, CASE kind
    WHEN 'settle' THEN -(4 * (at / 86400)) WHEN 'refund' THEN -(4 * (at / 86400) + 1)
    WHEN 'sweep' THEN -(4 * (at / 86400) + 2) ELSE entry_id END AS target
  FROM posting JOIN entry ON entry.id = entry_id
), runs AS (                            -- postings one after the other that go into the same entry
  SELECT *, row_number() OVER (PARTITION BY account ORDER BY entry_id)
    - row_number() OVER (PARTITION BY account, target ORDER BY entry_id) AS run
  FROM aimed
), folded AS (
  SELECT account, target, sum(amount) AS amount, max(entry_id) AS last FROM runs GROUP BY account, target, run
)
INSERT INTO line SELECT account, row_number() OVER (PARTITION BY account ORDER BY last), target, amount,
  sum(amount) OVER (PARTITION BY account ORDER BY last)
FROM folded;

INSERT INTO entry SELECT DISTINCT -(4 * (at / 86400) + CASE kind WHEN 'settle' THEN 0 WHEN 'refund' THEN 1 ELSE 2 END),
  at / 86400 * 86400, kind, '' FROM entry WHERE kind IN ('settle', 'refund', 'sweep');
DELETE FROM entry WHERE id > 0 AND kind IN ('settle', 'refund', 'sweep');
DROP TABLE posting;
ALTER TABLE line RENAME TO posting;
