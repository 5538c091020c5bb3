"""help: the papers, from wherever the program was installed."""

import pytest

from pennyred.programs import papers

TOPICS = papers.topics()


def test_the_topics_are_listed_with_their_titles_and_the_first_is_the_first_page(run):
    listed = run("help", "--json").document["topics"]
    assert [one["topic"] for one in listed] == TOPICS
    assert TOPICS[0] == "readme"
    assert {"sending", "running-a-gate", "wanted-mail", "offices", "upgrading", "stamp", "objections"} <= set(TOPICS)
    assert TOPICS[-2:] == ["config", "many"]
    assert all(one["title"] for one in listed)
    assert "Running a gate" in run("help").text


@pytest.mark.parametrize("topic", TOPICS)
def test_each_is_shown_as_it_is(run, topic):
    text = run("help", topic, "--json").document["text"]
    assert text.startswith("# ")
    assert run("help", topic).out == text.encode()
    assert run("help", f"{topic.upper()}.md").out == text.encode()


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("gate", "did you mean running-a-gate?"),
        ("runing a gate", "did you mean running-a-gate?"),
        ("nonsense", "see  pennyred help"),
        ("install", "see  pennyred help"),
        ("../README", "there is no page on"),
        ("/etc/passwd", "there is no page on"),
        ("", "there is no page on"),
    ],
)
def test_another_topic_is_none_and_what_was_meant_is_said(run, topic, hint):
    assert hint in run("help", topic, "--json", status=2).document["error"]["message"]


def test_of_an_installed_package_they_are_the_ones_inside(monkeypatch, tmp_path):
    package = tmp_path / "pennyred"
    (package / "docs").mkdir(parents=True)
    (package / "docs/readme.md").write_text("# Installed\n")
    monkeypatch.setattr("pennyred.__file__", str(package / "__init__.py"))
    assert papers.title("readme") == "Installed"
