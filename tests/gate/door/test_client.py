"""A client's identity is made once, and anew when anything that it is made of has changed."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pennyred.gate.door.client import Client
from pennyred.gate.door.proxying import Peer
from pennyred.gate.letterbox import HostName

PEER = Peer("192.0.2.1", 25_000)
TOLD = st.dictionaries(
    st.sampled_from(["NAME", "ADDR", "HELO", "PROTO", "LOGIN"]),
    st.sampled_from(["192.0.2.7", "ESMTP", None]),
    max_size=3,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tell_session"), TOLD),
        st.tuples(st.just("tell_transaction"), TOLD),
        st.tuples(st.just("greet"), st.sampled_from(["a.example", "b.example"]), st.booleans()),
        st.just(("begin_anew",)),
        st.just(("end_transaction",)),
        st.just(("replace_names",)),
    ),
    max_size=12,
)


async def of_one(address: str) -> HostName:
    return HostName(f"one-{address}.example", "")


async def of_other(address: str) -> HostName:
    return HostName(f"other-{address}.example", "")


def do(client: Client, step: tuple) -> None:
    name, *words = step
    if name == "greet":
        client.greet(words[0], is_extended=words[1])
    elif name != "replace_names":
        getattr(client, name)(*words)


@given(STEPS)
def test_it_is_the_one_that_would_be_made_now(steps: list[tuple]) -> None:
    asked, unasked = Client(PEER, is_trusted=True), Client(PEER, is_trusted=True)
    lookups = [of_one, None, of_other]
    for step in [*steps, ("end_transaction",)]:
        do(asked, step)
        do(unasked, step)
        if step[0] == "replace_names":
            lookups = [*lookups[1:], lookups[0]]
        made = asyncio.run(asked.identity(lookups[0]))
        assert asyncio.run(asked.identity(lookups[0])) is made
        fresh = Client(PEER, is_trusted=True)
        for name in ("_xclient", "_ahead", "_xforward", "helo", "is_extended"):
            setattr(fresh, name, getattr(unasked, name))
        for name in ("_name", "_named"):  # the names of an address are asked for once a connection
            setattr(fresh, name, getattr(asked, name))
        assert asyncio.run(fresh.identity(lookups[0])) == made
