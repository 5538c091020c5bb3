"""What becomes of a stamp between `pennyred stamp` and a gate.

Mail servers and small programs are run, with those of their settings that rewrite letters; providers, gateways and lists
are imitated by what is written of them. docs/sending.md says the same, as it is made from the same tables.
"""

import re
from itertools import chain

import pytest
from tests.wire.paths import gateways, letters, others, page, postfix, programs, providers
from tests.wire.paths.missing import why_not

MODULES = (postfix, others, programs, providers, gateways)
TELLING = ("stamped-modified", "altered-headers", "altered-body")
PARTS = {"cc": "to", "content-type": "body", "content-transfer-encoding": "body"}
"""What a field is part of, by the names of STAMP.md 8.6."""
SPELLED = {"from", "to", "subject"}
WALKED = [(kind, path) for kind, paths in chain(*(module.CARRIERS for module in MODULES)) for path in paths]


@pytest.mark.parametrize(("kind", "path"), WALKED, ids=[f"{kind.__name__}, {path.name}" for kind, path in WALKED])
def test_a_letter_goes_its_way(kind, path, world, started):
    carrier = started(kind)
    world.forget()
    stamped = world.stamp(path.letter, *path.options)
    carrier.carry(stamped, path)
    arrival = world.await_arrival()
    found = arrival.reason, ", ".join(arrival.altered(stamped))
    assert found == (path.reason, path.altered), arrival.letter.decode(errors="replace")
    if path.reason in TELLING:
        seen = {PARTS.get(name, name) for name in arrival.altered(stamped)}
        assert arrival.told <= seen, "the gate names what was altered"
        assert seen - arrival.told <= SPELLED, "and leaves out what is only spelled anew"


@pytest.mark.parametrize("kind", [postfix.Postfixes, others.Exims, others.Sendmails, others.Harakas])
def test_what_send_hands_to_a_server_of_ones_own_is_stamped_when_it_arrives(kind, world, started):
    """Such a server asks no price, so it is one stamp; and the letter is not safe to travel before `send` has seen it."""
    carrier = started(kind)
    world.forget()
    port = carrier.ports[id(postfix.PATHS[0])] if kind is postfix.Postfixes else carrier.port
    world.send(letters.EIGHT_BIT.replace(b"To: Bob <", b"To: Bob B. <").replace(b"\r\n", b"\n"), port)
    assert world.await_arrival().reason == "stamped"


@pytest.mark.parametrize("kind", [kind for module in (others, programs) for kind, _ in module.CARRIERS])
def test_what_is_not_installed_is_skipped_and_says_how_to_get_it(kind, world, tmp_path, monkeypatch):
    monkeypatch.setenv("PENNYRED_SERVERS", str(tmp_path / "nowhere"))
    assert re.match(r"needs .+ \(bash \.ci/", why_not(kind(world)))


def test_the_page_for_senders_says_what_was_found():
    """If not: `python -m tests.wire.paths.page` writes it."""
    assert page.parts(page.PAGE.read_text())[1].strip() == page.made().strip()
    told = [path for _, paths in page.SECTIONS for path in paths]
    assert {id(path) for _, path in WALKED} == {id(path) for path in told}


def test_each_way_on_the_page_can_be_read_alone():
    names = [(section, path.name) for section, paths in page.SECTIONS for path in paths]
    assert len(names) == len(set(names))
    assert [name for _, name in names if "the same" in name] == []
