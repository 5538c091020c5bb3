"""Whether a letter may come in. In order: rules that ask nobody, who wants it, its stamps.

::

    judge           the order
    standing        where each recipient stands: exempt, payable by stamps that hold, or due; all that changes it
    grants          who wants the letter: correspondents, replies, permits, forwarders
    nobody          what is asked where there is no book, or no authenticator
    wanted_at_rcpt  who wants it, as far as is known before there is a letter
    allowances      what comes free today, taken and given back
    stamps          the stamps a letter offers for its recipients
    proving         whether the author of an altered letter is proven
    bad_stamps      beyond so many a minute of one source, no more are looked at
    delivered_texts what stamps have paid for: letters that come by two paths
    former_aliases  aliases that are no more, but were paid for
"""
