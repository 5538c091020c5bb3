"""Every broken settings file in tests/bad_configs produces exactly the sentences beside it."""

from pathlib import Path

import pytest

from pennyred.config import BadSettings, read_settings

FOLDER = Path(__file__).parent.parent / "bad_configs"
FILES = sorted(FOLDER.glob("*.toml"))


def test_there_are_files():
    assert len(FILES) >= 20


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_broken_file_produces_its_sentences(file):
    """All of them, at once, in the order of the file's tables, each led by the file's name."""
    with pytest.raises(BadSettings) as bad:
        read_settings(file)

    sentences = [str(complaint).removeprefix(f"{file}: ") for complaint in bad.value.complaints]

    assert sentences == file.with_suffix(".expected").read_text(encoding="utf-8").splitlines()
    assert str(bad.value).splitlines() == [f"{file}: {sentence}" for sentence in sentences]
