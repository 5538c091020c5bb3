"""The post office: sells postage, redeems stamps, keeps the books.

::

    office      accounts, licences, vouchers, receivers
    redeeming   the office as a gate uses it; checking: verifies the stamps that other gates present
    receipts    signed receipts for settled stamps; keys: the office's signing keys
    vouchers    prepaid codes
    probes      what senders ask the mirror
    api         the office over HTTP
    ledger      the books
"""
