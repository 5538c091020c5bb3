"""What clients that check would hold against a certificate."""

from datetime import UTC, datetime, timedelta

import pytest
import trustme

from pennyred.programs.checks.certificates import flaws

ENDS = datetime(2030, 6, 15, tzinfo=UTC)


def write(folder, *names, begins=datetime(2020, 1, 1, tzinfo=UTC)):
    made = trustme.CA().issue_cert(*names, not_before=begins, not_after=ENDS)
    file = folder / "mx.pem"
    file.write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    return file


def days_before_its_end(days: float) -> int:
    return int((ENDS - timedelta(days=days)).timestamp())


@pytest.mark.parametrize(
    ("names", "is_well"),
    [
        (["mx.example.org"], True),
        (["MX.Example.org"], True),
        (["example.org", "mx.example.org"], True),
        (["*.example.org"], True),
        (["example.org"], False),
        (["*.mx.example.org"], False),
        (["*.org"], False),
        (["mx.example.org.example.net"], False),
        (["192.0.2.1"], False),
    ],
)
def test_it_is_for_the_name_of_the_gate(tmp_path, names, is_well):
    assert (flaws(write(tmp_path, *names), "mx.Example.org", days_before_its_end(100)) == []) == is_well


def test_the_names_it_is_for_are_said(tmp_path):
    [(what, _)] = flaws(write(tmp_path, "a.example", "b.example"), "mx.example.org", days_before_its_end(100))
    assert "is for a.example, b.example, not for mx.example.org" in what


@pytest.mark.parametrize(
    ("days_left", "said"), [(14.5, ""), (13.5, "ends on 2030-06-15"), (0.1, "ends on"), (-0.1, "ended on 2030-06-15")]
)
def test_its_end_is_said_in_time(tmp_path, days_left, said):
    found = flaws(write(tmp_path, "mx.example.org"), "mx.example.org", days_before_its_end(days_left))
    assert [said in what for what, _ in found] == ([True] if said else [])


def test_one_for_later_is_no_good_now(tmp_path):
    file = write(tmp_path, "mx.example.org", begins=ENDS - timedelta(days=50))
    [(what, _)] = flaws(file, "mx.example.org", days_before_its_end(100))
    assert "not valid before 2030-04-26" in what


def test_what_is_no_certificate_is_said_by_an_exception(tmp_path):
    (tmp_path / "mx.pem").write_text("nothing")
    with pytest.raises(ValueError):
        flaws(tmp_path / "mx.pem", "mx.example.org", 0)
