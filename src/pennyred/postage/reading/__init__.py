"""What readers make of a letter's header fields, so that spelling does not matter (STAMP.md 5.3 to 5.6).

::

    structured      tokens of a structured field
    addressfields   the addresses of a field
    subject         the text of a Subject, and what it was before a gateway put a tag in front
    texts           the text that stands for each part of a letter that a stamp signs
"""
