"""Databases that many callers share safely.

::

    database    opens an SQLite file; private: makes files that nobody else may read
    changes     whether an SQLite file has changed since it was last read
    postgres    connects to a PostgreSQL database; blocking: the same, for a thread that waits
    migrations  numbered SQL files that build a schema; postgres_migrations: the same for PostgreSQL
    groupcommit many callers' work in one transaction; mergedwork: for PostgreSQL; noting: for metrics of both
    statements  what that work needs of a connection
    passing     how much time has really passed, whatever a clock says
    threads     blocking work in a thread, always awaited to its end
"""
