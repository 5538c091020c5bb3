"""Files that nobody else can read appear whole, and what is there is not lost."""

import os
import stat

import pytest

from pennyred.storage import private


def test_a_new_file_is_never_written_over_another(tmp_path):
    path = tmp_path / "secret"
    private.write_new(path, b"first")
    with pytest.raises(FileExistsError) as refused:
        private.write_new(path, b"second")
    assert refused.value.filename == str(path)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [private.write_new, private.replace_file])
def test_an_open_umask_opens_no_file(tmp_path, write):
    before = os.umask(0)
    try:
        write(tmp_path / "secret", b"s")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert (tmp_path / "secret").read_bytes() == b"s"


@pytest.mark.parametrize("write", [private.write_new, private.replace_file])
def test_a_disk_that_fails_leaves_what_there_was(tmp_path, write, monkeypatch):
    def fails(_):
        raise OSError("the disk")

    (tmp_path / "other").write_bytes(b"there")
    monkeypatch.setattr(os, "fsync", fails)
    for name in ("other", "new"):
        with pytest.raises(OSError, match="the disk"):
            write(tmp_path / name, b"s")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("other", b"there")]
