"""What becomes of a stamp between `pennyred stamp` and a gate.

table       one row: a way, what it alters, what the gate says
letters     what is sent
world       gate, office, name server and a sender with postage
postfix, others, programs       what is run
hop         a server that alters letters as it is told
providers, gateways             what is imitated by it
page        the rows as docs/sending.md has them
thieves     what others do with a letter that is stamped and not yet sent
"""
