"""The office on the web: what senders ask of it over HTTP, and the client that asks.

::

    messages    the JSON that senders and office speak
    redemptions the JSON that gates and offices speak
    tokens      a sender's signed request: EdDSA JWT, made and checked
    limits      how often strangers may ask
    problems    what is answered when it is not done
    api         the application (Litestar)
    server      the application on a socket, inside a running event loop
    client      the sender's side (aiohttp)
"""
