"""Every paragraph of STAMP.md that code or tests cite is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORMAT = ROOT / "src" / "pennyred" / "postage" / "STAMP.md"


def test_cited_paragraphs_exist() -> None:
    text = FORMAT.read_text("utf-8")
    paragraphs = set(re.findall(r"^(?:## )?(\d+(?:\.\d+)*)\.", text, re.MULTILINE))
    cited = {
        (number, path.name)
        for folder in ("src", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for citation in re.findall(r"STAMP\.md (\d[\d., ]*(?:(?:to|and) \d[\d.]*)?)", path.read_text("utf-8"))
        for number in re.findall(r"\d+(?:\.\d+)*", citation)
    }
    assert len(cited) > 10
    assert {(number, name) for number, name in cited if number not in paragraphs} == set()


def test_references_inside_the_format_exist() -> None:
    text = FORMAT.read_text("utf-8")
    paragraphs = set(re.findall(r"^(?:## )?(\d+(?:\.\d+)*)\.", text, re.MULTILINE))
    inside = set(re.findall(r"\((?:but )?(\d+\.\d+(?:\.\d+)?)\)", text))
    assert inside
    assert inside - paragraphs == set()
