"""The gate's own durable memory: a small SQLite file that all workers of a machine share.

`store` opens it; `allowances` counts what came free, `outbox` keeps settlements until their office confirms them,
`accepted` stamps that were accepted while it did not answer, `partly` who has had a letter that others must wait for,
`correspondents` whom our users write to, `permits` what recipients have approved (`wanted` asks both), `recipientrules`
what single recipients have of their own, `figures` what became of mail by day, `foundkeys` keys of offices as DNS had
them. Whatever is forgotten goes by `passedtime`. It is never the ledger's file: the office may be a stranger's.

Beside it, and without it, `quarantine` keeps copies of refused letters: a `maildir` for each recipient, whose files are
written and read by `keptletter`.
"""
