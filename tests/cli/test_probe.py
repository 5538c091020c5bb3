"""`pennyred probe`, as far as nothing is on the way: usage, what a path refuses, and what never arrives."""

import json
import re

import pytest
from tests.support.real_postfix import free_port

from pennyred.gate.memory.store import GateState
from pennyred.postage.errors import Unavailable
from pennyred.postage.reasons import Reason
from pennyred.programs.mirroring import open_mirror

MIRROR = "mirror@post.example.org"
pytestmark = pytest.mark.usefixtures("account")


@pytest.fixture
def mirror(office, tmp_path):
    """The office has a mirror, to which nothing is delivered."""
    state = GateState.open(tmp_path / "gate.db", now=office.office.now)
    open_mirror(MIRROR, office.office, state)
    yield state
    office.do(state.close())


def test_an_office_without_a_mirror_is_named(run):
    said = run("probe", "--via", "cat /dev/null", status=1)
    assert "no-mirror" in said.err


@pytest.mark.usefixtures("mirror")
class TestOnTheWay:
    @pytest.mark.parametrize("via", ["", "a:b:c", "[::1", "host:99999", '"never closed ', "no-such-program -t"])
    def test_what_is_no_path_is_wrong_usage(self, run, via):
        run("probe", "--via", via, "--wait", 1, status=2)

    def test_the_letter_comes_on_standard_input_with_the_lines_of_this_system(self, run, tmp_path):
        seen = tmp_path / "seen.eml"
        command = f"sh -c 'cat > {seen}; echo $0 $1' {{to}} {{from}}"
        said = run("probe", "--via", command, "--shape", "plain", "--wait", 1, "--json", status=75)
        [found] = said.document["probes"]
        assert re.fullmatch(r"mirror\+[a-z2-7]{26}@post\.example\.org", found["address"])
        assert found["handed"] == f"{found['address']} ann@sender.example"
        assert (found["verdict"], found["page"].rpartition("/")[0][-7:]) == ("not-arrived", "/probes")
        letter = seen.read_bytes()
        assert letter.startswith(b"X-Postage-Stamp: v=2;")
        assert b"\r" not in letter
        assert found["address"].encode() in letter

    def test_a_command_that_fails_is_a_refusal_with_its_words(self, run):
        said = run("probe", "--via", "sh -c 'echo no such user >&2; exit 67'", "--shape", "plain", status=1)
        assert "status 67: no such user" in said.err

    def test_a_server_that_is_not_there_is_for_later(self, run):
        said = run("probe", "--via", f"127.0.0.1:{free_port()}", "--shape", "plain", "--wait", 1, "--json", status=75)
        assert said.document["error"]["reason"] == "upstream-unavailable"

    def test_standard_output_has_one_letter_and_no_json(self, run):
        run("probe", "--via", "stdout", "--json", status=2)
        run("probe", "--via", "stdout", "--shape", "plain", "--shape", "html", status=2)
        said = run("probe", "--via", "stdout", "--wait", 1, status=75)
        assert said.out.startswith(b"X-Postage-Stamp: v=2;")
        assert said.out.endswith(b"pennyred probe has sent it.\r\n")  # so that it may go into a file
        assert "send this letter, as it is, to mirror+" in said.err

    def test_an_office_that_is_silent_for_a_moment_is_asked_again(self, run, monkeypatch):
        answers = iter([Unavailable(Reason.OFFICE_UNREACHABLE, "silent"), []])

        async def arrivals(*_):
            answer = next(answers, [])
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr("pennyred.cli.probe._arrivals", arrivals)
        said = run("probe", "--via", "true -x", "--shape", "plain", "--wait", 2, "--json", status=75)
        assert said.document["probes"][0]["verdict"] == "not-arrived"

    def test_an_office_that_stays_silent_is_named(self, run, monkeypatch):
        async def arrivals(*_):
            raise Unavailable(Reason.OFFICE_UNREACHABLE, "silent")

        monkeypatch.setattr("pennyred.cli.probe._arrivals", arrivals)
        said = run("probe", "--via", "true -x", "--shape", "plain", "--wait", 1, "--json", status=75)
        assert said.document["error"]["reason"] == "office-unreachable"

    def test_a_letter_of_ones_own_goes_to_the_mirror_alone(self, run, tmp_path):
        own = tmp_path / "own.eml"
        own.write_bytes(b"From: ann@sender.example\nTo: bob@example.org\nCc: eve@example.org\nBcc: x@y.example\n\nHi\n")
        seen = tmp_path / "seen.eml"
        run("probe", "--via", f"sh -c 'cat > {seen}'", "--letter", own, "--wait", 1, status=75)
        letter = seen.read_text()
        assert not re.search(r"bob@|eve@|x@y", letter)
        assert re.search(r"^To: mirror\+", letter, re.MULTILINE)

    def test_an_office_that_says_anything_at_all_is_not_believed(self, run, office, monkeypatch):
        for address, token in (("mirror+x@post.example.org\r\nBcc: x@y.example", "a" * 26), (MIRROR, "../../x")):
            opened = json.dumps({"token": token, "address": address, "path": "/x", "expires_at": ""}).encode()
            monkeypatch.setattr("pennyred.sender.client.OfficeClient._send", _answering(opened, office.office.issuer))
            run("probe", "--via", "cat", "--wait", 1, status=None)
            said = run("probe", "--via", "true -x", "--wait", 1, status=None)
            assert said.status in (2, 75)


def _answering(opened: bytes, issuer: str):
    async def send(_, __, path, ___, ____):
        info = json.dumps({"issuer": issuer, "keys": [], "price": 1}).encode()
        return 200, info if path.startswith("/.well-known") else opened

    return send
