"""The promise of the core: a parser accepts its input or raises its `Malformed`, and nothing else, on anything at all.

The same parsers are fuzzed with coverage by tests/fuzz/fuzz_parsers.py.
"""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.parsers import PARSERS, good_inputs


@st.composite
def mutations(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A good input with pieces cut out, doubled, exchanged or put in."""
    octets = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(octets)))
        end = draw(st.integers(start, min(len(octets), start + 40)))
        piece = draw(
            st.one_of(
                st.binary(max_size=6),
                st.just(octets[start:end] * 2),
                st.sampled_from([b";", b"=", b"\r\n ", b"@", b'"']),
            )
        )
        octets = octets[:start] + piece + octets[end:]
    return octets


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
def test_a_parser_accepts_or_says_malformed(name: str, data: st.DataObject) -> None:
    parse, malformed = PARSERS[name]
    octets = data.draw(st.one_of(st.binary(max_size=300), mutations(good_inputs(name))))
    with contextlib.suppress(malformed):
        parse(octets)
