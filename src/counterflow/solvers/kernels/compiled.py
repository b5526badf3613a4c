"""How the CPU kernels are compiled: once per machine and dtype, kept on disk where a folder can be written."""

import contextlib
import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.extending import overload

# `contract` alone: a product and a sum may be one instruction. The rest of fastmath would let NaN become numbers.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel's door, called from Python without the interpreter's lock; compiled at its first call.

    The result is cached beside the source, else in the user's cache folder (NUMBA_CACHE_DIR overrides both). Where
    none of them can be written, each process compiles for itself.
    """
    try:
        door: Any = njit(cache=True, **_OPTIONS)(inspect.unwrap(function))
    except RuntimeError:  # "no locator available": no folder to cache in
        return njit(**_OPTIONS)(inspect.unwrap(function))  # type: ignore[no-any-return]
    door._cache = _Forgiving(door._cache)
    # Numba compares the age of the door's own file; what is compiled comes from all files of this folder.
    door._cache.own._cache_file._source_stamp = _digest()
    return door  # type: ignore[no-any-return]


class _Forgiving:
    """A cache on disk whose failures (a full disk, a spoilt file) cost a compilation and nothing else."""

    def __init__(self, own: Any) -> None:
        self.own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    def load_overload(self, *args: Any) -> Any:
        """What was compiled before, or None."""
        try:
            return self.own.load_overload(*args)
        except Exception:  # whatever unpickling of a spoilt file may raise
            return None

    def save_overload(self, *args: Any) -> None:
        """Keep what was compiled, if it can be."""
        with contextlib.suppress(Exception):
            self.own.save_overload(*args)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of a kernel, always inlined."""
    return njit(forceinline=True, **_OPTIONS)(inspect.unwrap(function))  # type: ignore[no-any-return]


def called(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of a kernel, inlined where the compiler likes."""
    return njit(**_OPTIONS)(inspect.unwrap(function))  # type: ignore[no-any-return]


def by_precision(stub: Callable[..., Any], *, single: Callable[..., Any], double: Callable[..., Any]) -> None:
    """Two implementations of a function whose first argument is lanes of one precision or the other."""

    def choose(*args: Any) -> Callable[..., Any]:
        chosen: Callable[..., Any] = inspect.unwrap(single if args[0].bits == 32 else double)
        return chosen

    overload(stub, strict=False, jit_options=_OPTIONS)(choose)  # type: ignore[arg-type]


def _digest() -> str:
    sources = sorted(p for p in Path(__file__).parent.glob("*.py") if not p.name.startswith("gpu"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
