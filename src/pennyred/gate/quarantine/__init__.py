"""Copies of refused letters, for some days: whoever misses one can have it.

::

    folder      the whole of it; maildir: one recipient's; roommaking: whose copies go where there is no room
    keptletter  one copy as a file; keeping: what the desk writes down
    readable    a field, as a person may read it; text: the beginning of a letter's text
    approval    its sender is approved
"""
