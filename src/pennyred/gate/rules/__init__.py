"""The gate's rules, as pure functions.

::

    exemptions     who needs no stamp (postmaster first), and by which rule; what comes free a day
    recipients     what single recipients have of their own, and their other names
    claims         what a letter says of itself: nothing of it is proven
    origin         what is proven of where it comes from
    grants         why one of its recipients wants a letter
    permitaddress  the tagged address that carries its own permission
    reports        bounces and automatic answers
    passes         what sister gates are told of a letter
    authres        the Authentication-Results field
    figures        what became of letters, added up
    pathadvice     what a sender can do about what a path alters
"""
