"""The gate's own durable memory: a small SQLite file that all workers of a machine share.

`store` opens it; `allowances` counts what came free, `outbox` keeps settlements until their office confirms them,
`partly` who has had a letter that others must wait for. It is
never the ledger's file: the office may be a stranger's.
"""
