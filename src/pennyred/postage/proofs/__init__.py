"""How a ledger's journal proves what a stamp was used for.

::

    chain    every batch commits to all before it
    merkle   one hash for a list
    receipt  an office's signature under where a stamp stands
"""
