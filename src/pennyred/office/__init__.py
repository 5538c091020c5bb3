"""The post office: sells postage, redeems stamps, keeps the books.

::

    office      accounts, licences, postage, receivers
    redeeming   the office as a gate sees it; checking: the stamps that gates elsewhere present
    receipts    what it signs for a settled stamp; keys: its signing keys
    vouchers    prepaid codes
    api         all of it over HTTP
    ledger      the books
"""
