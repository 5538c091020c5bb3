"""The ledger of one process for all others on its machine: calls of the `Ledger` protocol over a Unix socket.

`place` is where the socket stands and who may use it, `frames` how octets become messages. `asks`, `accounting` and
`bookkeeping` are the messages, one for each operation. `server` answers with a ledger of its own process, one `caller`
for each connection, and lets those who held something before it was started come `back` first. `connection` asks,
`inhand` remembers what has to be held again, and `ledger` is the `Ledger` that an office uses. No message runs anything
but the operation that it names.
"""
