"""What passed and what was refused, or would have been: as text, as a document, as a picture."""

import asyncio
import contextlib
import importlib.util
import io
import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pennyred.cli.reporting.text import percent, print_report
from pennyred.gate.counting import Judged, facts
from pennyred.gate.letterbox import Delivered, Due, Fate, Later, Relay
from pennyred.gate.memory.store import GateState
from pennyred.gate.reporting import report_of
from pennyred.gate.rules.exemptions import Mode
from pennyred.gate.rules.figures import Figures, Recorded, SourceTotal
from pennyred.postage.alteration import Row
from pennyred.postage.reasons import Reason

NOW = 1_790_000_000
TODAY = NOW // 86_400
FROM, YESTERDAY, TO = "2026-09-15", "2026-09-20", "2026-09-21"


def relayed(
    reason,
    fate=Fate.ACCEPTED,
    *,
    mode=Mode.MONITOR,
    day=TODAY,
    source="192.0.2.0/24",
    said="a.example",
    times=1,
    **flags,
):
    answer = Relay(Delivered((fate,), (None,), (b"bob@example.org",), 1))
    recipient = Judged(reason, fate, **flags)
    return [facts(day, mode, answer, [recipient], source, said)] * times


def turned_away(answer, *, mode=Mode.REQUIRE, day=TODAY, source="192.0.2.0/24", times=1, **flags):
    return [facts(day, mode, answer, [Judged(answer.reason, **flags)], source, "a.example")] * times


WEEK_OF_MONITOR = [
    *relayed(Reason.LIST, times=50),
    *relayed(Reason.STAMPED, times=20),
    *relayed(Reason.NO_STAMP, times=20, by_bulk=False),
    *relayed(Reason.NO_STAMP, times=7, by_bulk=True, source="198.51.100.0/24", said="b.example", day=TODAY - 1),
    *relayed(Reason.NO_STAMP, Fate.REFUSED_PERMANENT, times=2, by_bulk=True),
    *relayed(Reason.INTERNAL),
]


@pytest.fixture
def report(at, tmp_path, monkeypatch):
    """`pennyred report`, on a machine whose clock stands still, after these letters."""
    monkeypatch.setattr("pennyred.cli.report.clock", lambda: NOW)

    def after(letters, *words, **options):
        async def record():
            state = GateState.open(tmp_path / "post" / "gate.db", now=NOW)
            await state.figures.add(Figures.of(letters))
            await state.close()

        asyncio.run(record())
        return at("report", *words, **options)

    return after


def plain(text):
    return " ".join(text.split())


def test_an_admin_reads_what_each_mode_would_have_refused(report):
    said = plain(report(WEEK_OF_MONITOR).text)

    assert f"Mail from {FROM} to {TO} (UTC), mode monitor" in said
    assert "100 letters to 100 recipients" in said
    assert f"Nothing was counted before {YESTERDAY}." in said
    assert (
        "Had the mode been require: 29 of 99 recipients (29.3 %) would have been refused: no-stamp 29;"
        " the mail server refused 2 of them by itself; of 1 more it is not known." in said
    )
    assert (
        "Had the mode been bulk: 9 of 99 recipients (9.1 %) would have been refused: no-stamp 9;"
        " the mail server refused 2 of them by itself; of 1 more it is not known." in said
    )
    assert "no post office is asked" in said


def test_every_rule_stands_below_what_became_of_its_mail(report):
    said = plain(report(WEEK_OF_MONITOR).text)

    for line in (
        "passed, free by a rule 50 50.0 % list a list or sender the recipient has approved 50 50.0 %",
        "passed, stamped 20 20.0 % stamped the stamp counts 20 20.0 %",
        "passed, postage due 27 27.0 % no-stamp it carries no stamp 27 27.0 %",
        "passed, not judged 1 1.0 % internal an error inside the gate 1 1.0 %",
        "refused by mail server 2 2.0 % no-stamp it carries no stamp 2 2.0 %",
    ):
        assert line in said


ALTERED = [
    *relayed(Reason.STAMPED, mode=Mode.REQUIRE, times=90, row=Row.UNALTERED),
    *relayed(Reason.STAMPED_MODIFIED, mode=Mode.REQUIRE, times=5, row=Row.SAME_TEXT),
    *relayed(Reason.STAMPED_MODIFIED, mode=Mode.REQUIRE, times=2, row=Row.BODY_PROVEN),
    *relayed(Reason.STAMPED_MODIFIED, mode=Mode.REQUIRE, row=Row.SUBJECT_PROVEN),
    *turned_away(Due(0, Reason.ALTERED_BODY), times=2, row=Row.BODY_UNPROVEN),
]


def test_an_admin_reads_which_row_of_the_table_decided_and_what_a_stricter_setting_would_cost(report):
    said = plain(report(ALTERED).text)

    assert (
        'row in words by "accept" by "reject" recipients unaltered nothing altered stamped stamped 90'
        in said.replace("─", "").replace("  ", " ")
    )
    assert "body-proven another text, author proven stamped-modified altered-body 2" in said
    assert "body-unproven the same, author not proven altered-body altered-body 2" in said
    assert 'altered_body = "reject" refuses 3 of 100 recipients (3.0 %) of them that "accept" lets in.' in said


def test_the_document_tells_rows_by_outcome(report):
    said = report(ALTERED, "--json").document["altered"]

    assert (said["recipients"], said["refused_by_reject"]) == (100, 3)
    assert said["rows"][0] == {
        "row": "unaltered", "accept": "stamped", "reject": "stamped", "outcome": "accepted", "recipients": 90
    }  # fmt: skip
    assert said["rows"][-1] == {
        "row": "body-unproven", "accept": "altered-body", "reject": "altered-body", "outcome": "refused-here",
        "recipients": 2,
    }  # fmt: skip


def test_without_stamps_there_is_no_table_of_rows(report):
    assert "by what was altered" not in report(relayed(Reason.NO_STAMP)).text


@pytest.mark.parametrize("row", Row)
def test_every_row_can_be_told(report, row):
    assert row.value in report(relayed(Reason.STAMPED, row=row)).text


def test_sources_and_days_are_told(report):
    said = plain(report(WEEK_OF_MONITOR).text)

    assert "192.0.2.0/24 a.example 0 22 198.51.100.0/24 b.example 0 7" in said
    assert f"{YESTERDAY} 7 0 0 ▓▓ {TO} 91 2 0 ██████████████████▓▓▓▓▓░" in said


def test_in_its_own_mode_it_is_told_what_was_refused(report):
    letters = [
        *relayed(Reason.ALLOWANCE, mode=Mode.BULK, times=6),
        *turned_away(Due(0, Reason.BULK), mode=Mode.BULK, times=3),
        *turned_away(Later(Reason.OFFICE_UNREACHABLE), mode=Mode.BULK),
    ]

    said = plain(report(letters, "--days", 1).text)

    assert f"Mail of {TO} (UTC), mode bulk" in said
    assert "As the mode was bulk: 3 of 9 recipients (33.3 %) were refused: bulk 3; of 1 more it is not known." in said
    assert (
        "Had the mode been require: 9 of 9 recipients (100.0 %) would have been refused: allowance 6, bulk 3;" in said
    )
    assert "refused, postage due 3 30.0 % bulk the free daily allowance of this sender is used up" in said
    assert "told to come again 1 10.0 % office-unreachable" in said
    assert "Nothing was counted before" not in said


def test_what_is_not_known_is_not_made_up(report):
    said = plain(report(turned_away(Later(Reason.INTERNAL))).text)

    assert "Had the mode been bulk: what it would have refused is not known." in said
    assert "1 letter to 1 recipient;" in said


def test_several_modes_are_named(report):
    said = report(relayed(Reason.LIST) + relayed(Reason.LIST, mode=Mode.REQUIRE), "--days", 1)

    assert "mode require and monitor" in said.text


def test_the_document_says_the_same(report):
    said = report(WEEK_OF_MONITOR, "--json").document

    assert (said["from"], said["to"], said["modes"]) == (FROM, TO, ["monitor"])
    assert (said["letters"], said["recipients"]) == (100, 100)
    assert said["outcomes"] == [
        {"outcome": "accepted", "reason": "list", "recipients": 50},
        {"outcome": "accepted", "reason": "no-stamp", "recipients": 27},
        {"outcome": "accepted", "reason": "stamped", "recipients": 20},
        {"outcome": "refused-upstream", "reason": "no-stamp", "recipients": 2},
        {"outcome": "accepted", "reason": "internal", "recipients": 1},
    ]
    assert said["would_refuse"] == {"bulk": 9, "require": 29}
    assert said["not_known"] == {"bulk": 1, "require": 1}
    assert said["sources"] == [
        {"source": "192.0.2.0/24", "sender_domain": "a.example", "refused": 0, "would_refuse": 22},
        {"source": "198.51.100.0/24", "sender_domain": "b.example", "refused": 0, "would_refuse": 7},
    ]
    assert len(said["days"]) == 7
    assert said["days"][-1] == {
        "day": TO,
        "accepted": 91,
        "refused": 2,
        "deferred": 0,
        "would_refuse_bulk": 2,
        "would_refuse_require": 22,
    }
    assert sum(one["accepted"] + one["refused"] + one["deferred"] for one in said["days"]) == 100


def test_days_outside_the_period_are_left_out(report):
    letters = relayed(Reason.LIST, day=TODAY - 2) + relayed(Reason.LIST)

    assert report(letters, "--days", 2, "--json").document["recipients"] == 1
    assert report([], "--days", 3, "--json").document["recipients"] == 2


def test_where_nothing_was_recorded_it_is_said_what_to_do(report, tmp_path):
    said = report([], "--plot", tmp_path / "empty.svg").text
    document = report([], "--json").document

    assert f"Nothing was recorded from {FROM} to {TO} (UTC)." in said
    assert "pennyred serve" in said
    assert "--days 92" in said
    assert (document["recipients"], document["outcomes"], document["sources"]) == (0, [], [])
    assert "nothing was recorded" in (tmp_path / "empty.svg").read_text()


def test_what_strangers_call_themselves_steers_nothing(report, tmp_path):
    letters = relayed(Reason.NO_STAMP, source="[bold]$x^2$ :smile: <&>", said="\x1b[31mred\u202e.example")
    letters += relayed(Reason.NO_STAMP, source="пример.example", times=2)

    said = report(letters, "--plot", tmp_path / "odd.svg")

    assert b"\x1b" not in said.out
    assert "[bold]$x^2$ :smile: <&>" in said.text
    assert "?[31mred?.example" in said.text
    assert "[bold]$x^2$ :smile: <&>" in texts_of(tmp_path / "odd.svg")


def texts_of(file):
    """What stands in a picture."""
    return ["".join(one.itertext()).strip() for one in ET.parse(file).iter() if one.tag.endswith("}text")]


def test_the_picture_as_svg_says_the_numbers_in_text(report, tmp_path):
    file = tmp_path / "week.svg"

    said = report(WEEK_OF_MONITOR, "--plot", file)

    texts = texts_of(file)
    for words in (
        f"Mail from {FROM} to {TO} (UTC), mode monitor",
        "passed, free by a rule: 50",
        "passed, stamped: 20",
        "passed, postage due: 27",
        "passed, not judged: 1",
        "refused by mail server: 2",
        YESTERDAY,
        TO,
        "192.0.2.0/24",
        "22",
        "198.51.100.0/24",
        "7",
        "29 of 99 refused (29.3 %), 1 not known",
        "9 of 99 refused (9.1 %), 1 not known",
    ):
        assert words in texts
    assert str(file) in re.sub(r"\s", "", said.text)


def test_the_picture_tells_those_who_cannot_see_it(report, tmp_path):
    report(WEEK_OF_MONITOR, "--plot", tmp_path / "week.svg")

    drawn = (tmp_path / "week.svg").read_text()
    assert f"<title>Mail from {FROM} to {TO} (UTC), mode monitor</title>" in drawn
    assert "Had the mode been require: 29 of 99 recipients" in drawn


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_same_figures_make_the_same_picture(report, tmp_path, ending):
    report(WEEK_OF_MONITOR, "--plot", tmp_path / f"one.{ending}")
    report([], "--plot", tmp_path / f"two.{ending}", "--json")

    assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()


def test_the_picture_as_png_is_one(report, tmp_path):
    report(WEEK_OF_MONITOR, "--plot", tmp_path / "week.PNG")

    assert (tmp_path / "week.PNG").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_quarter_of_a_year_and_many_sources_can_be_drawn(report, tmp_path):
    letters = [
        letter
        for back in range(92)
        for letter in turned_away(Due(0, Reason.NO_STAMP), day=TODAY - back, source=f"10.0.{back}.0/24", times=back + 1)
    ]

    report(letters, "--days", 92, "--plot", tmp_path / "quarter.svg")

    texts = texts_of(tmp_path / "quarter.svg")
    assert sum(bool(re.fullmatch(r"2026-\d\d-\d\d", text)) for text in texts) <= 9
    assert sum(text.startswith("10.0.") for text in texts) == 10
    assert "4,278 of 4,278 refused (100.0 %)" in texts


def test_a_terminal_without_unicode_is_served():
    letters = relayed(Reason.NO_STAMP, source="пр.example") + relayed(Reason.LIST, times=3)

    shown = io.TextIOWrapper(io.BytesIO(), "ascii")
    with contextlib.redirect_stdout(shown):
        print_report(report_of(Recorded(TODAY, TODAY, Figures.of(letters), (SourceTotal("пр.example", "", 0, 1),))))
    shown.seek(0)

    said = plain(shown.read().replace("|", " "))
    assert "\\u043f\\u0440.example - 0 1" in said
    assert f"{TO} 4 0 0 ##################======" in said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 5, "0 %"), (1, 3, "33.3 %"), (1, 10_000, "< 0.1 %"), (9_999, 10_000, "> 99.9 %"), (5, 5, "100.0 %")],
)
def test_what_is_little_is_not_nothing(part, whole, said):
    assert percent(part, whole) == said


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_picture_is_drawn_over_an_older_one_of_its_own_and_over_nothing_else(report, tmp_path, ending):
    own, other, empty = (tmp_path / f"{name}.{ending}" for name in ("own", "other", "empty"))
    other.write_bytes(b"<svg>somebody's work</svg>")
    empty.touch()
    for file in (own, own, empty):
        report(WEEK_OF_MONITOR, "--plot", file)
        assert file.stat().st_size > 1000
    said = report(WEEK_OF_MONITOR, "--plot", other, status=1)
    assert "other" in said.err
    assert "(exists)" in said.err
    assert other.read_bytes() == b"<svg>somebody's work</svg>"


def test_without_matplotlib_it_is_told_how_to_get_it(report, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: (name != "matplotlib" and find(name, *rest)) or None
    )

    said = report(WEEK_OF_MONITOR, "--plot", tmp_path / "week.svg", status=2)

    assert f"{Path(sys.executable).with_name('pip')} install matplotlib" in said.err
    assert not (tmp_path / "week.svg").exists()
    assert report([], "--json").document["recipients"] == 100


@pytest.mark.parametrize(
    "words",
    [
        ["--days", "0"],
        ["--days", "93"],
        ["--plot", "week"],
        ["--plot", "week.pdf"],
        ["--plot", "."],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(report, words):
    assert report([], *words, "--json", status=2).document["error"]["reason"] == "usage"


def test_a_folder_that_is_not_there_is_2(report, tmp_path):
    said = report(WEEK_OF_MONITOR, "--plot", tmp_path / "nowhere" / "week.svg", "--json", status=2)

    assert said.document["error"]["reason"] == "file"


def test_before_the_first_gate_has_run_it_is_told_so(at, tmp_path):
    said = at("report", status=2)

    assert "no gate with these settings has run (pennyred serve)" in said.err
    assert not (tmp_path / "post" / "gate.db").exists()


def test_settings_without_a_gate_are_told_so(run, tmp_path):
    file = tmp_path / "office.toml"
    file.write_text('[office]\ndomain = "post.example.org"\n')

    said = run("--config", file, "report", "--json", status=2)

    assert said.document["error"]["reason"] == "settings"
    assert "[gate]" in said.document["error"]["message"]


def test_a_state_that_is_no_database_is_for_later(at, tmp_path):
    (tmp_path / "post" / "gate.db").write_bytes(b"notes\n" * 1000)

    assert at("report", "--json", status=75).document["error"]["reason"] == "state-unavailable"
