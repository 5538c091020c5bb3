"""A week of real mail through a started gate, in each mode: who came free and by which rule, who was refused.

::

    cast     the replay's own table: who sends each letter, from where, to whom, and what he could prove
    stage    the gate, the mail server behind it, and a DNS that has the senders' records
    week     day after day: what our users write, what they approve, and what comes in
    __main__ `python -m tests.replay`: the reports of all modes, for people
"""
