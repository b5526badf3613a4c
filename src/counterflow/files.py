"""Files that are complete under their own name or not there at all."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new, empty file in the folder of ``path`` to write to, which becomes ``path`` on success.

    On any exception, Ctrl-C included, it is removed and ``path`` is what it was. A reader sees the old file or the new
    one, also after a power failure, since the content is on the disk before the name changes.

    Raises:
        FileNotFoundError: the folder of ``path`` does not exist.
    """
    check_folder(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.touch(exist_ok=False)
        mode = stat.S_IMODE(partial.stat().st_mode)  # as the umask has it
        yield partial
        # safetensors puts a file of its own there, which only its owner may read.
        partial.chmod(mode)
        with partial.open("r+b") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check_folder(path: Path) -> None:
    """Refuse a path that cannot be written because its folder is missing.

    Raises:
        FileNotFoundError: the folder of ``path`` does not exist.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {path.parent} does not exist")
