"""How a gate reaches the post offices whose stamps it accepts.

::

    routing       several offices: each stamp goes to its own
    http          one office, asked over HTTP
    asking        one question: deadline, repetitions, token; abilities: what an office understands
    batching      many letters, one request
    circuit       an office that does not answer is left alone; doubtful: holds of which nothing was heard
    trusting      stamps accepted while their office is away
    keyring       offices' public keys; keymemory: kept over a restart; keyquestions: how often DNS is asked
    revocations   licences that no longer count
    discovery     what DNS says of post offices
"""
