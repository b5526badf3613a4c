"""`fit --config run.toml`: options from a file, and the full configuration written back."""

import difflib
import enum
import inspect
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from ..files import replacing
from .refusal import USAGE, Refusal, refusing

WRITTEN_BY = "Written by counterflow"
LEFT_OUT = ("config", "resume", "overwrite", "quiet", "json")  # how a command is run, not what it makes
_IN_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list of texts"}


def read_config(ctx: Any, path: Path | None) -> Path | None:
    """Callback of the option: what the file says takes the place of defaults; the command line still decides.

    Args:
        ctx: Typer's context of the command; releases of Typer differ in its class.
        path: The file.

    Raises:
        Refusal: no such file, not TOML, a name that is no option, or a value that its option cannot take.
    """
    return None if path is None else _read(ctx, path)


@refusing
def _read(ctx: Any, path: Path) -> Path:
    command: Callable[..., Any] = inspect.unwrap(ctx.command.callback)
    wanted = _wanted(command)
    values = {}
    for key, value in _parsed(path).items():
        name = key.replace("-", "_")
        if name not in wanted:
            raise Refusal(USAGE, f"--config {path}: {key!r} is not an option of {ctx.info_name}{_near(key, wanted)}")
        if not _fits(value, wanted[name]):
            raise Refusal(USAGE, f"--config {path}: {key} = {_shown(value)}, expected {_in_words(wanted[name])}")
        values[name] = [value] if wanted[name] is list and isinstance(value, str) else value
    ctx.default_map = {**(ctx.default_map or {}), **values}
    return path


def configuration(command: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option that makes a difference to the result, with its value, defaults included; None is left out."""
    values = {}
    for name in inspect.signature(command).parameters:
        value = given[name]
        if name in LEFT_OUT or value is None or value == []:
            continue
        values[name.replace("_", "-")] = _plain(value)
    return values


def as_toml(values: Mapping[str, Any]) -> str:
    """TOML of plain values and lists of them."""
    return "".join(f"{name} = {_shown(value)}\n" for name, value in values.items())


def write_config(path: Path, values: Mapping[str, Any], command: str) -> None:
    """Write it, all or nothing, with the command that it belongs to."""
    with replacing(path) as temporary:
        temporary.write_text(f"# {WRITTEN_BY} {command}.\n{as_toml(values)}", encoding="utf-8")


def is_our_config(path: Path) -> bool:
    """Whether `write_config` wrote it."""
    try:
        with path.open("rb") as file:
            return file.readline().startswith(f"# {WRITTEN_BY}".encode())
    except OSError:
        return False


def read_values(path: Path) -> dict[str, Any]:
    """What `write_config` wrote.

    Raises:
        OSError, ValueError: it cannot be read, or is not TOML.
    """
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return read_values(path)
    except OSError as error:
        raise Refusal(USAGE, f"--config {path}: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:  # not TOML, or not text at all
        raise Refusal(USAGE, f"--config {path} is not TOML: {error}") from None


def _wanted(command: Callable[..., Any]) -> dict[str, type]:
    """The options that a file may set, with the type that TOML should give each."""
    wanted = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in LEFT_OUT:
            hint = get_args(parameter.annotation)[0]  # of Annotated
            kinds = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
            kind = getattr(kinds[0], "__origin__", kinds[0])  # list of list[str]
            wanted[name] = kind if kind in _IN_WORDS or issubclass(kind, enum.Enum) else str
    return wanted


def _fits(value: Any, kind: type) -> bool:
    if kind is list:
        return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))
    if isinstance(value, bool):
        return kind is bool
    if issubclass(kind, enum.Enum):
        return value in [one.value for one in kind]
    return isinstance(value, (int, float) if kind is float else kind)


def _in_words(kind: type) -> str:
    return "one of " + ", ".join(one.value for one in kind) if issubclass(kind, enum.Enum) else _IN_WORDS[kind]


def _near(key: str, wanted: Mapping[str, type]) -> str:
    names = [name.replace("_", "-") for name in wanted]
    near = difflib.get_close_matches(key.replace("_", "-"), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f" (those are {', '.join(sorted(names))})"


def _shown(value: Any) -> str:
    """As TOML writes it; tables and dates, which no option takes, as Python does."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool | int | float):
        return value
    return str(getattr(value, "value", value))
