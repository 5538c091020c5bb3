"""The books: the rules of `postage.ledger_rules` made durable.

`protocol` says what every back end promises, `callers` what of those who ask, `requests` are its calls as values.
`batch` applies the rules to a list of stamps, `chaining` links what it has changed to all before, `daily` says where
its payments are posted. `sql` names each operation with the function of a connection that does it; `sqlite` and
`postgresql` have these functions. A back end decides nothing: it reads the rows a list touches, lets `batch` decide,
writes the rows back. `moving` takes a ledger from the one to the other. The plain model both must agree with is among
the tests (`tests/support/memory_ledger.py`).
"""
