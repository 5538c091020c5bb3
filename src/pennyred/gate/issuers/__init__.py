"""The post offices whose stamps count, as a gate reaches them.

::

    routing       several offices: each stamp goes to its own
    http          one office, asked over HTTP
    asking        one question: deadline, repetitions, token; abilities: what an office understands
    batching      many letters, one request
    circuit       an office that does not answer is left alone; doubtful: holds of which nothing was heard
    trusting      stamps accepted while their office is away
    keyring       offices' public keys; keymemory: over a restart; keyquestions: how often DNS is asked
    revocations   licences that count no more
    discovery     what DNS says of post offices
"""
