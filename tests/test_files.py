"""Every writer of files keeps the same promises: whole or not at all, on the disk, readable as the umask says."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import counterflow as cf
from counterflow.files import replacing
from counterflow.tables import write_table
from counterflow.training.sinks import CsvLog
from counterflow.training.state import write_state

WRITERS: dict[str, Callable[[Path], object]] = {
    "a model": lambda path: cf.save(path, cf.models.maf(2, layers=1, hidden=(4,))),
    "the state of a training": lambda path: write_state(path, {"weight": torch.ones(2)}),
    "the log of a training": lambda path: CsvLog(path, []).close(),
    **{
        f"a table, {extension}": lambda path, extension=extension: write_table(  # type: ignore[misc]
            path.with_suffix(extension), (2, 1), [np.ones((2, 1), dtype=np.float32)]
        )
        for extension in (".csv", ".npy", ".npz")
    },
}
every_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())


@pytest.fixture
def umask() -> Iterator[int]:
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


@every_writer
def test_a_new_file_has_the_mode_that_the_umask_gives(
    write: Callable[[Path], object], tmp_path: Path, umask: int
) -> None:
    write(tmp_path / "new")
    (written,) = tmp_path.iterdir()
    assert stat.S_IMODE(written.stat().st_mode) == 0o666 & ~umask


@every_writer
def test_the_content_is_on_the_disk_before_the_file_has_its_name(
    write: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[int, tuple[int, list[str]]] = {}

    def note(handle: int) -> None:
        state = os.fstat(handle)
        synced[state.st_ino] = (state.st_size, [path.name for path in tmp_path.iterdir()])

    monkeypatch.setattr(os, "fsync", note)
    write(tmp_path / "new")
    (written,) = tmp_path.iterdir()
    size, there = synced[written.stat().st_ino]
    assert size == written.stat().st_size
    assert written.name not in there


@every_writer
def test_a_full_disk_leaves_the_folder_as_it_was(
    write: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError("no space left on device")

    write(tmp_path / "new")
    (written,) = tmp_path.iterdir()
    written.write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == [written.name]
    assert written.read_bytes() == b"before"


@every_writer
def test_a_missing_folder_is_named(write: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"the folder .*absent does not exist"):
        write(tmp_path / "absent" / "new")


def test_ctrl_c_while_writing_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("before")

    def write() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]
    assert path.read_text() == "before"
