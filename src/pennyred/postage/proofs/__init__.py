"""How a ledger's journal proves what a stamp was used for.

::

    chain    the chain of batches: each commits to all batches before it
    merkle   one hash that commits to a list
    receipt  an office's signed statement of what a stamp was used for
"""
