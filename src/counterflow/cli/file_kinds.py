"""What kind of file a path holds, told from its name and its first bytes: nothing in it is run."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..tables.opening import READABLE
from ..training.state import FORMAT

_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # of torch.save before it wrote archives; it stands first in the pickle


def is_table(path: Path) -> bool:
    """Whether it is called as tables are."""
    return path.name.lower().endswith(READABLE)


def holds_model(path: Path) -> bool:
    """Whether it is a model file of ours."""
    return "counterflow" in _header(path)


def holds_state(path: Path) -> bool:
    """Whether it is the state of a training."""
    return FORMAT in _header(path)


def is_broken_archive(path: Path) -> bool:
    """Whether it begins as an archive, and cannot be opened as one."""
    return _start(path, 2) == b"PK" and _members(path) is None


def is_pickle(path: Path) -> bool:
    """Whether it begins as pickles do."""
    return _start(path, 1) == b"\x80"


def is_saved_by_torch(path: Path) -> bool:
    """Whether it is laid out as files of `torch.save` are, of today or of before version 1.6."""
    members = _members(path)
    if members is None:
        return is_pickle(path) and _MAGIC in _start(path, 64)
    return any(name.endswith("data.pkl") for name in members)


def _members(path: Path) -> list[str] | None:
    """Of an archive; None of any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return None


def _header(path: Path) -> Mapping[str, str]:
    """What a safetensors file says of itself; nothing of any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError):
        return {}


def _start(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError:
        return b""
