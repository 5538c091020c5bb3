"""What developers.md shows does what the page says: from an empty folder, in the page's order, as it stands there."""

import base64
import importlib.util
import json
import re
import shutil
import socket
from pathlib import Path

import pytest

from tests.support.readme import block, shell

VECTORS = Path(__file__).parent / "vectors"
IN_ORDER = ("developers: office", "developers: frank", "developers: verify", "developers: redeem", "developers: end")
FILES = {"frank.py": "developers: frank.py", "verify.py": "developers: verify.py"}
LEFT_OUT = {
    "alias",
    "quoted",
    "postmaster",
    "international",
    "no recipient",
    "too cheap",
    "spelled anew",
    "named-tag, proven: no",
    "words-before-a-literal, proven: no",
}
"""Vectors of what the page says its program leaves out: other addresses and Subjects, aliases, prices, named tags."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl (apt-get install curl)")
def test_a_letter_is_stamped_verified_and_redeemed_by_what_the_page_says(tmp_path):
    for name, mark in FILES.items():
        (tmp_path / name).write_text(block(mark, "python"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Others may have the page's port; and what fails on the way leaves no office behind.
    script = "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n" + "\n".join(map(block, IN_ORDER))
    done = shell(script.replace("8025", str(port)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert '{"outcomes":[{"outcome":"held"}]}{"outcomes":[{"outcome":"settled","receipt":"v=1;' in done.stdout
    assert '"available": 9' in done.stdout
    [hold] = json.loads((tmp_path / "hold.json").read_text())["holds"]
    assert "z=" not in hold["stamp"]


def test_the_program_that_verifies_is_as_short_as_the_engineers_page_says():
    page = (Path(__file__).parents[1] / "src/pennyred/ARCHITECTURE.md").read_text()
    [most] = re.findall(r"one that verifies, in less than\s+(\d+) lines", page)
    assert len(block("developers: verify.py", "python").splitlines()) < int(most)


@pytest.fixture
def shown(tmp_path):
    """The page's program as a module."""
    (tmp_path / "shown.py").write_text(block("developers: verify.py", "python"))
    spec = importlib.util.spec_from_file_location("shown", tmp_path / "shown.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STAMPS = json.loads((VECTORS / "stamps.json").read_text())
OFFICE = {
    "issuer": "post.example.org",
    "keys": [
        {"selector": selector, "key": base64.b64encode(bytes.fromhex(key)).decode()}
        for selector, key in STAMPS["issuers"]["post.example.org"].items()
    ],
}


def test_what_the_page_says_that_it_leaves_out_is_among_the_vectors():
    assert {case["name"] for case in STAMPS["cases"]} >= LEFT_OUT


@pytest.mark.parametrize(
    "case",
    # It does not find out who is proven: what it says is said where nobody is, and always in strict mode.
    [one for one in STAMPS["cases"] if one["name"] not in LEFT_OUT and (one["proof"] == "no" or one["strict"])],
    ids=lambda case: case["name"],
)
def test_the_program_written_from_stamp_md_alone_says_what_the_vectors_say(case, shown):
    letter = (VECTORS / case["letter"]).read_bytes()
    try:
        hold, settle, altered = shown.judge(letter, case["stamp"], case["recipients"][0], OFFICE, case["now"])
    except SystemExit as said:
        assert said.code == case["verdict"] or {said.code, case["verdict"]} == {"malformed", "unknown-version"}  # noqa: PT017
    else:
        assert case["verdict"] == ("stamped-modified" if altered else "stamped")
        assert altered == case["altered"]
        assert hold["holds"][0]["letter"] == settle["settles"][0]["letter"]


@pytest.mark.parametrize(
    "case", json.loads((VECTORS / "signatures.json").read_text())["cases"], ids=lambda case: case["name"]
)
def test_its_rules_for_signatures_are_those_of_the_vectors(case, shown):
    """Of keys and signatures that no honest signer makes, too: there libraries differ."""
    public, signature = (bytes.fromhex(case[name]) for name in ("public_hex", "signature_hex"))
    message = case["context"].encode() + b"\0" + bytes.fromhex(case["message_hex"])
    assert shown.ed25519_holds(public, message, signature) is case["holds"]
