"""The house holds itself up: arrows point inward, everything outsiders rely on is documented, files stay small."""

import ast
import importlib
import importlib.metadata
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import msgspec
import pytest

import pennyred
from pennyred.cli import main
from pennyred.config import read_settings
from pennyred.config.settings import (
    AllowanceSettings,
    AuthenticationSettings,
    ExemptSettings,
    GateSettings,
    IssuerSettings,
    OfficeSettings,
    OutgoingSettings,
    QuarantineSettings,
    RelaySettings,
)
from pennyred.gate.smtp import replies
from pennyred.postage import errors
from pennyred.postage.alteration import Row
from pennyred.postage.reasons import Kind, Reason
from tests.support.readme import PAPERS

ROOT = Path(__file__).parents[1]
EVERY_SETTING = (ROOT / "config/pennyred.toml").read_text()
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LINES_MAX = 320
FUNCTION_LINES_MAX = 60
FILES_MAX = 22
WORDS_MIN = 3
KNOWN_WORDS = {"check", "init", "serve", "pennyred"}
"""Commands, which stand in maps too."""
WRITERS = {"Seldom", "_say_loudly", "internal"}
"""What is given the name of an event, and writes it to the log."""


def test_arrows_point_inward():
    """import-linter's contracts in pyproject.toml."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_documented_with_its_class(reason):
    assert re.search(rf"^\| `{reason.value}` \| {reason.kind.value} \|", PAPERS, re.MULTILINE)


@pytest.mark.parametrize("row", list(Row))
def test_every_row_of_the_table_of_alterations_is_documented_with_what_it_says(row):
    said = [f"`{row.reason.value}`", f"`{row.strict_reason.value}`"]
    said = said if row.reason is not row.strict_reason else [said[0], "the same"]
    assert re.search(rf"^\| `{row.value}` \| .+ \| {said[0]} \| {said[1]} \|$", PAPERS, re.MULTILINE)


def test_the_rows_of_alterations_are_told_in_the_order_in_which_they_are_tried():
    """The page says that the first row decides. So a row stands before those that would fit its letters as well."""
    told = re.findall(r"^\| `([a-z-]+)` \| .+ \| `[a-z-]+` \| (?:`[a-z-]+`|the same) \|$", PAPERS, re.MULTILINE)
    assert told == [row.value for row in Row]


def test_every_reason_name_is_one_of_the_contract():
    """Names that outsiders rely on; adding one is free, changing one is not."""
    contract = {
        Kind.EXEMPT: "postmaster bounce network sender recipient correspondent reply list expected forwarder allowance pass",
        Kind.PAID: "stamped stamped-modified duplicate",
        Kind.DUE: "no-stamp bulk malformed unknown-version wrong-recipient issuer-not-accepted expired not-yet-valid "
        "bad-licence revoked bad-signature altered-headers altered-body spent resent insufficient-balance over-cap "
        "account-closed wrong-receiver underpaid",
        Kind.LATER: "office-unreachable ledger-unavailable in-progress upstream-unavailable identity-refused dns-unavailable "
        "too-many-bad-stamps state-unavailable internal",
    }
    for kind, names in contract.items():
        assert [reason.value for reason in Reason if reason.kind is kind] == names.split()


@pytest.mark.parametrize(
    ("table", "struct"),
    [
        ("gate", GateSettings),
        ("gate.exempt", ExemptSettings),
        ("gate.allowance", AllowanceSettings),
        ("gate.authentication", AuthenticationSettings),
        ("gate.outgoing", OutgoingSettings),
        ("gate.quarantine", QuarantineSettings),
        ("office", OfficeSettings),
        ("issuer", IssuerSettings),
        ("relay", RelaySettings),
    ],
)
def test_every_setting_is_explained_in_config(table, struct):
    section = re.split(r"^#? ?\[+" + re.escape(table) + r"\]+", EVERY_SETTING, flags=re.MULTILINE)[1]
    section = re.split(r"^#? ?\[", section, flags=re.MULTILINE)[0]
    for field in msgspec.structs.fields(struct):
        if field.name not in ("exempt", "allowance", "authentication", "outgoing", "quarantine"):
            assert re.search(rf"^#? ?{field.name} = ", section, re.MULTILINE), f"{table}.{field.name}"


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.toml")), ids=lambda path: path.name)
def test_settings_in_config_load(file):
    assert read_settings(file).gate is not None


def test_documented_defaults_are_the_defaults():
    """What config/pennyred.toml says a setting is by default, it is."""
    read = read_settings(ROOT / "config/pennyred.toml")
    for table in (read.gate, read.gate.allowance, read.gate.authentication, read.office):
        for field in msgspec.structs.fields(table):
            if isinstance(field.default, bool | int | str) and field.name != "hostname":
                assert getattr(table, field.name) == field.default, field.name


def test_limits_are_said_alike_in_the_manual_and_in_config():
    limits = (
        (ROOT / "src/pennyred/docs/running-a-gate.md").read_text().partition("## Limits\n")[2].partition("\n## ")[0]
    )
    gate, office = limits.split("Of the office's HTTP API")
    documented = tomllib.loads(EVERY_SETTING)
    for text, table in ((gate, documented["gate"]), (office, documented["office"])):
        said = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE)
        assert len(said) >= 6
        assert [name for name, value in said if tomllib.loads(f"it = {value}")["it"] != table[name]] == []


def commands(group: click.Group = main, path: str = "pennyred"):
    """Every command with its full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_is_documented_and_teaches_by_example(name, command):
    words = name.split()
    is_told = name in PAPERS or any(
        line.startswith("|") and f"`{' '.join(words[:2])} " in line and words[-1] in line
        for line in PAPERS.splitlines()
    )
    assert is_told, f"{name} is in none of the papers"
    assert "Example:" in (command.help or "")


REPLIES = {
    " ".join(value.decode().split()[:2])
    for value in vars(replies).values()
    if isinstance(value, bytes) and value[:1] in b"45"
}


@pytest.mark.parametrize(
    "reply",
    [
        *sorted(REPLIES),
        "needs a 1-cent stamp from post.example.org (no-stamp); see",
        "250 2.0.0 Already delivered; not charged again (duplicate)",
        "451 4.3.0",
        "451 4.3.5",
        "451 4.4.1",
        "450 4.7.1",
        "501 5.1.3",
        "550 5.0.0",
        "550 5.7.1",
    ],
)
def test_every_reply_is_documented(reply):
    assert reply in PAPERS


def events_of(tree: ast.Module) -> set[str]:
    """The events that a module writes to the log, or hands to what writes them."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if re.search(r"(?:^|[._])log(?:ger)?\.(?:debug|info|warning|error|exception|critical)$", name):
                event = node.args[0]
                assert isinstance(event, ast.Constant) or ast.unparse(event) in ("event", "self._event"), ast.unparse(
                    node
                )
                found += node.args[:1]
            elif name.rpartition(".")[2] in WRITERS:
                found += node.args
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "event":
            found += [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
    return {one.value for one in found if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_every_event_of_the_log_is_spelled_one_way_and_documented():
    """An admin is told to read the log; what stands there must be explained, and what is explained must stand there."""
    events = set().union(*(events_of(ast.parse(path.read_text())) for path in SOURCES))
    assert {event for event in events - {"letter"} if not re.fullmatch(r"[a-z]+\.[a-z_]+", event)} == set()
    table = (ROOT / "src/pennyred/docs/replies-and-log.md").read_text().partition("| event | what it means |\n")[2]
    columns = [line.split(" | ")[0] for line in table.splitlines()]
    assert set(re.findall(r"`([^`]+)`", "".join(columns))) == events - {"letter"}


def test_three_digit_codes_are_in_one_file():
    """Replies are the user interface: they are written in one place."""
    coded = re.compile(r"""b?f?["'](?:[2345]\d\d)[ -]""")
    offenders = [
        path.relative_to(ROOT)
        for path in SOURCES
        if path.name not in ("replies.py", "demo.py") and coded.search(path.read_text())
    ]
    assert offenders == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_files_can_be_held_in_the_head(path):
    text = path.read_text()
    assert len(text.splitlines()) <= LINES_MAX
    assert not text.strip() or text.lstrip().startswith('"""')


ROOMS = sorted(path.parent for path in SOURCES if path.name == "__init__.py")


def test_the_tree_of_errors_is_whole():
    """`postage.errors` draws it: who catches one must know what it may be."""
    for module in pkgutil.walk_packages(pennyred.__path__, "pennyred."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, kinds = set(), [errors.PennyRedError]
    while kinds:
        kinds += (under := [one for one in kinds.pop().__subclasses__() if one.__module__.startswith("pennyred.")])
        found |= {one.__name__ for one in under if not one.__name__.startswith("_")}
    assert {name for name in found if not re.search(rf"\b{name}\b", errors.__doc__)} == set()


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_each_room_has_a_map_of_what_is_in_it(room):
    """A stranger reads the listing, then the map; what the map leaves out is not found."""
    within = {path.stem for path in room.glob("*.py")} | {path.parent.name for path in room.glob("*/__init__.py")}
    told = ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
    assert {name for name in within - {"__init__"} if not re.search(rf"\b{name}\b", told)} == set()


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_map_names_a_module_that_is_not_there(room):
    """One that has got another name is found by nobody: `name`, `room.name` and the columns of a map are looked at."""
    told = ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
    named = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)*)`", told)) | set(
        re.findall(r"^    ([a-z_]+)  ", told, re.MULTILINE)
    )
    around = [room, room.parent, ROOT / "src/pennyred"]
    places = [place / name.replace(".", "/") for name in named for place in around]
    there = {str(place) for place in places if place.is_dir() or place.with_suffix(".py").exists()}
    missing = {name for name in named if not any(str(place / name.replace(".", "/")) in there for place in around)}
    assert missing - KNOWN_WORDS == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_docstring_is_a_riddle(path):
    """One or two words are one, of a function, a class or a name; unless they say where more is said."""
    bodies = [getattr(node, "body", None) for node in ast.walk(ast.parse(path.read_text()))]
    said = [line.value.value for body in bodies if isinstance(body, list) for line in body if is_docstring(line)]
    assert [text for text in said if len(text.split()) < WORDS_MIN and not text.startswith("See `")] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_a_public_docstring_says_something(path):
    """At least three words, of what anybody may call: "See `there`." alone sends the reader away."""
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, kinds) and one.name[0] != "_"]
    told = [(one.name, text) for one in nodes if (text := ast.get_docstring(one)) is not None]
    assert [(name, text) for name, text in told if len(text.split()) < WORDS_MIN] == []


def is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_room_is_crowded(room):
    assert len([path for path in room.glob("*.py") if path.name != "__init__.py"]) <= FILES_MAX


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_functions_fit_on_one_screen(path):
    functions = [
        one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert {one.name for one in functions if one.end_lineno - one.lineno >= FUNCTION_LINES_MAX} == set()


def test_every_library_that_is_installed_is_used():
    """One that nobody imports is installed on every mail server for nothing."""
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = {re.split(r"[^\w.-]", name)[0].lower() for name in names}
    used = {
        word for path in SOURCES for word in re.findall(r"^ *(?:import|from) (\w+)", path.read_text(), re.MULTILINE)
    }
    modules = importlib.metadata.packages_distributions()
    brought = {name.lower().replace("_", "-") for word in used for name in modules.get(word, ())}
    assert wanted - brought == set()


def test_no_constant_is_there_for_nothing():
    """A limit that nothing asks for is none: the code has another number, or the same once more."""
    made, used = set(), set()
    for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")]:
        tree = ast.parse(path.read_text())
        for node in tree.body if path in SOURCES else []:
            named = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            made |= {(path.stem, one.id) for one in named if isinstance(one, ast.Name) and one.id.strip("_").isupper()}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id if isinstance(node, ast.Name) else node.attr)
    assert len(made) > 100
    assert {(module, name) for module, name in made if name not in used} == set()


def test_the_top_level_holds_nothing_else():
    git = shutil.which("git")
    tracked = git and subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if not tracked or tracked.returncode:
        pytest.skip("needs git and a git checkout")
    tops = {line.partition("/")[0] for line in tracked.stdout.splitlines()}
    assert {top for top in tops if not top.startswith(".")} == {
        "README.md",
        "LICENSE",
        "pyproject.toml",
        "src",
        "tests",
        "config",
        "findings",
    }


def test_stamp_paragraphs_that_are_cited_exist():
    """`STAMP.md 3.2` in a comment names a paragraph that is there."""
    stamp = (ROOT / "src/pennyred/postage/STAMP.md").read_text()
    for path in SOURCES:
        for cited in re.findall(r"STAMP\.md (\d+(?:\.\d+)?)", path.read_text()):
            assert re.search(rf"^(?:#+ |\*\*)?{re.escape(cited)}\b", stamp, re.MULTILINE), f"{path.name}: {cited}"
