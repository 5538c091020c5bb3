"""Make a letter safe to travel before it is stamped, so that no server has a reason to alter it afterwards. Pure.

::

    preparing      the whole letter
    fields         header fields; fieldgrammar: which grammar each follows
    addressforms   addresses in a spelling that no mail server changes
    signedfields   which fields the signatures in a letter cover
    phrases        names, comments and free text; encodedwords: the encoded words of RFC 2047
    parameters     the parameters of Content-Type and Content-Disposition
    mimeparts      the parts of a letter; labels: their Content-Transfer-Encoding
    transfer       quoted-printable and base64; leaves: parts without parts; closing: the last boundary line
    serverlimits   limits of servers on the way
"""
