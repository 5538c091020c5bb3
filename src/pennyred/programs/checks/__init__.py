"""The checks of `pennyred check`.

::

    probes        everything, one after another
    dnsprobes     what it asks the DNS; officeprobes: offices elsewhere; ownerprobes: who owns the files
    programprobes whether the service's user can run the program
    hints         what is not wrong, but should be considered; completing: a Postfix that alters letters
    certificates  what clients would hold against one
"""
