"""SQLite made safe to share: opening, migrating, and merging many callers' work into one transaction.

It knows nothing of stamps; `ledger` and `state` stand on it.
"""
