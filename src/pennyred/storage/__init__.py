"""Databases made safe to share.

::

    database    an SQLite file, opened; private: that nobody else may read
    postgres    a PostgreSQL database, reached; blocking: for a thread that waits
    migrations  numbered SQL files; postgres_migrations: the same for PostgreSQL
    groupcommit many callers' work in one transaction; mergedwork: for PostgreSQL; noting: who hears how it goes
    statements  what that work needs of a connection
    passing     how much time has really passed
    threads     work that blocks, never left behind
"""
