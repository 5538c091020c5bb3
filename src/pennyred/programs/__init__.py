"""The composition root: knows every name, connects the rooms, has no opinions in between.

::

    office      opens a ledger and an office
    gate        builds a worker's gate
    serve       runs what the settings enable
    log         its log
    supervisor  several worker processes
"""
