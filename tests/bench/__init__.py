"""Measurements, made by hand: what each says holds for the machine and the hour it was made in.

    python -m tests.bench.gate                 the gate beside others: letters a second, CPU a letter, latency, many clients
    python -m tests.bench.memory               what the gate's processes hold for idle connections and great letters
    python -m tests.bench.ledger               the ledger alone, on both back ends; hot accounts, millions of stamps
    python -m tests.bench.office               the office by HTTP, every stamp verified, beside the bare signature
    python -m tests.bench.canonicalisation     the hashing of bodies beside dkimpy's

Run from the top of the checkout. How `gate` is made, from the wire up:

    session.py      one SMTP client connection      load.py      as fast as it goes     arrivals.py   at a fixed rate
    crowd.py        one client to hundreds         latency.py   what a letter waits
    letters.py      letters with a stamp each       sink.py      what is behind all     processes.py  CPU and memory
    contestants/    who is compared, one a file     turns.py     A B C A B C ...        figures.py    medians and ratios
    report.py       tables, JSON                    plot.py      SVG                    gate.py       the command

`ledger` fills its tables by preloading.py.
"""
