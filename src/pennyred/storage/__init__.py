"""Databases made safe to share: opening, migrating, and merging many callers' work into one transaction.

`database`, `migrations`, `groupcommit` for SQLite; `postgres`, `postgres_migrations`, `mergedwork` for PostgreSQL. They
know nothing of stamps; `ledger` and `state` stand on them.
"""
