"""Everything bad that a user may hand to a command: how to make it, what to type, and what the answer must name."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from cli.running import FAST, table, write_csv
from counterflow.training.state import write_state

FIT = ["-o", "new.safetensors", *FAST]
SCORE = ["-o", "scores.csv"]


class Bad(NamedTuple):
    """One bad input: files to make, arguments to type, exit code, words that the sentence must hold."""

    prepare: Callable[[], object]
    arguments: list[str]
    code: int
    names: tuple[str, ...]


def _nothing() -> None:
    pass


def _text(name: str, content: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(content, encoding="utf-8")


def _array(name: str, values: object, **options: bool) -> Callable[[], object]:
    return lambda: np.save(name, np.asarray(values), **options)


def _changed(column: int, row: int, value: float) -> Callable[[], object]:
    values = table()
    values[row, column] = value
    return lambda: write_csv(Path("x.csv"), values)


def _constant() -> None:
    values = table()
    values[:, 1] = 3.5
    write_csv(Path("x.csv"), values)


def _cut(name: str, copy: str, share: float) -> Callable[[], object]:
    def cut() -> None:
        content = Path(name).read_bytes()
        Path(copy).write_bytes(content[: int(share * len(content))])

    return cut


def _two_arrays() -> None:
    np.savez("x.npz", train=table(), test=table(seed=1))


def _foreign() -> None:
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3)}, "foreign.safetensors")


def _newer() -> None:
    content = Path("model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    own = json.loads(header["__metadata__"]["counterflow"])
    header["__metadata__"]["counterflow"] = json.dumps({**own, "format": own["format"] + 1})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path("newer.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def _columns(names: str, count: int) -> Callable[[], object]:
    return lambda: write_csv(Path("x.csv"), np.hstack([table(), table(seed=1)])[:, :count], names)


def _fit(name: str, *more: str) -> list[str]:
    return ["fit", name, *FIT, *more]


def _score(name: str, *more: str) -> list[str]:
    return ["score", "model.safetensors", name, *SCORE, *more]


ROWS = np.arange(12.0).reshape(3, 4)

BAD: dict[str, Bad] = {
    "missing file": Bad(_nothing, _fit("none.npy"), 3, ("none.npy", "no such file")),
    "folder instead of a file": Bad(lambda: Path("d.npy").mkdir(), _fit("d.npy"), 3, ("d.npy", "folder")),
    "empty file": Bad(_text("x.csv", ""), _fit("x.csv"), 3, ("x.csv", "empty")),
    "blank lines only": Bad(_text("x.csv", "\n\n"), _fit("x.csv"), 3, ("x.csv", "no lines")),
    "unknown extension": Bad(_text("x.xls", "a"), _fit("x.xls"), 3, ("x.xls", ".xls", ".csv, .npy, .npz")),
    "text in a numeric column": Bad(
        _text("x.csv", "a,b\n1,2\n3,high\n"), _fit("x.csv"), 3, ("x.csv", "line 3", "'b'", "'high'")
    ),
    "text, csv without names": Bad(
        _text("x.csv", "1,2\n3,x\n"), _fit("x.csv"), 3, ("x.csv", "line 2", "column 2", "'x'")
    ),
    "NaN": Bad(
        _changed(1, 7, np.nan), _fit("x.csv"), 3, ("x.csv", "1 missing or NaN", "line 9", "'b'", "--drop-missing")
    ),
    "infinity": Bad(
        _changed(2, 0, -np.inf), _fit("x.csv"), 3, ("x.csv", "1 infinite", "line 2", "'c'", "--drop-missing")
    ),
    "NaN in an array": Bad(
        _array("x.npy", np.where(ROWS == 5, np.nan, ROWS)), _fit("x.npy"), 3, ("x.npy", "row 2", "column 2")
    ),
    "constant column": Bad(_constant, _fit("x.csv"), 3, ("x.csv", "'b'", "constant", "3.5")),
    "one row": Bad(_array("x.npy", ROWS[:1]), _fit("x.npy"), 3, ("x.npy", "1 row", "at least 2")),
    "names but no rows": Bad(_text("x.csv", "a,b\n"), _fit("x.csv"), 3, ("x.csv", "no rows")),
    "one row left after dropping": Bad(
        _text("x.csv", "a,b\n1,2\n,4\n"), _fit("x.csv", "--drop-missing"), 3, ("x.csv", "1 row,", "at least 2")
    ),
    "duplicated column": Bad(
        lambda: write_csv(Path("x.csv"), table()[:, [0, 1, 0]]),
        _fit("x.csv"),
        3,
        ("x.csv", "'c'", "linear combination"),
    ),
    "digits beyond single precision": Bad(
        lambda: np.save("x.npy", table() + 1e12), _fit("x.npy"), 3, ("x.npy", "column 1", "single precision")
    ),
    "array of one axis": Bad(_array("x.npy", ROWS[0]), _fit("x.npy"), 3, ("x.npy", "(4,)", "x[:, None]")),
    "array of three axes": Bad(_array("x.npy", ROWS[None]), _fit("x.npy"), 3, ("x.npy", "(1, 3, 4)", "reshape")),
    "array of objects": Bad(
        _array("x.npy", np.array([[None, 1]]), allow_pickle=True), _fit("x.npy"), 3, ("x.npy", "Python objects")
    ),
    "array of complex numbers": Bad(_array("x.npy", ROWS * 1j), _fit("x.npy"), 3, ("x.npy", "complex numbers")),
    "array of text": Bad(_array("x.npy", [["a", "b"]]), _fit("x.npy"), 3, ("x.npy", "text")),
    "array of nested records": Bad(
        _array("x.npy", np.zeros(3, dtype=[("a", [("b", "f4")])])), _fit("x.npy"), 3, ("x.npy", "'a'", "records")
    ),
    "not a NumPy file": Bad(_text("x.npy", "a,b\n1,2\n"), _fit("x.npy"), 3, ("x.npy", "NumPy")),
    "array cut short": Bad(_cut("good.npy", "x.npy", 0.6), _fit("x.npy"), 3, ("x.npy", "cut short", "60 rows")),
    "archive cut short": Bad(
        lambda: (_two_arrays(), _cut("x.npz", "y.npz", 0.6)()), _fit("y.npz"), 3, ("y.npz", "cut short")
    ),
    "archive of several arrays": Bad(_two_arrays, _fit("x.npz"), 3, ("x.npz", "train, test", "--array")),
    "archive without that array": Bad(
        _two_arrays, _fit("x.npz", "--array", "all"), 3, ("x.npz", "'all'", "train, test")
    ),
    "--array for a csv": Bad(_nothing, _fit("good.csv", "--array", "a"), 3, ("good.csv", "--array")),
    "two columns of one name": Bad(_text("x.csv", "a,b,a\n1,2,3\n"), _fit("x.csv"), 3, ("x.csv", "line 1", "'a'")),
    "column without a name": Bad(_text("x.csv", ",a\n0,2\n"), _fit("x.csv"), 3, ("x.csv", "line 1", "column 1")),
    "names mixed with numbers": Bad(_text("x.csv", "1,b\n1,2\n"), _fit("x.csv"), 3, ("x.csv", "line 1", "'b'", "'1'")),
    "ragged rows": Bad(_text("x.csv", "a,b\n1,2\n3\n"), _fit("x.csv"), 3, ("x.csv", "line 3", "1 cell where", "2")),
    "semicolons": Bad(_text("x.csv", "a;b\n1;2\n"), _fit("x.csv"), 3, ("x.csv", "semicolons")),
    "not text": Bad(lambda: Path("x.csv").write_bytes(b"a,b\n\xff\xfe\n"), _fit("x.csv"), 3, ("x.csv", "UTF-8")),
    "wrong number of columns at score": Bad(
        lambda: np.save("x.npy", table()[:, :2]), _score("x.npy"), 3, ("x.npy", "2 columns", "expected 3")
    ),
    "missing column at score": Bad(_columns("a,b,d", 3), _score("x.csv"), 3, ("x.csv", "no column 'c'", "'d'")),
    "NaN at score": Bad(_changed(0, 3, np.nan), _score("x.csv"), 3, ("x.csv", "line 5", "'a'", "--drop-missing")),
    "no rows at score": Bad(_text("x.csv", "a,b,c\n"), _score("x.csv"), 3, ("x.csv", "no rows")),
    "missing model": Bad(_nothing, ["sample", "none.safetensors", "-n", "5", "-o", "x.csv"], 4, ("none.safetensors",)),
    "truncated model": Bad(
        _cut("model.safetensors", "cut.safetensors", 0.7),
        ["inspect", "cut.safetensors"],
        4,
        ("cut.safetensors", "truncated"),
    ),
    "empty model": Bad(
        _text("empty.safetensors", ""), ["inspect", "empty.safetensors"], 4, ("empty.safetensors", "empty")
    ),
    "foreign safetensors file": Bad(
        _foreign, ["inspect", "foreign.safetensors"], 4, ("foreign.safetensors", "not written by Counterflow")
    ),
    "data instead of a model": Bad(
        _nothing, ["inspect", "good.csv"], 4, ("good.csv is a table, expected a model file",)
    ),
    "array instead of a model": Bad(_nothing, ["inspect", "good.npy"], 4, ("good.npy is a table",)),
    "state instead of a model": Bad(
        lambda: write_state(Path("x.training.safetensors"), {}),
        ["inspect", "x.training.safetensors"],
        4,
        ("x.training.safetensors is the state of an unfinished training", "--resume"),
    ),
    "file of torch.save instead of a model": Bad(
        lambda: torch.save({}, "x.pt"), ["inspect", "x.pt"], 4, ("x.pt is a file of torch.save", "counterflow convert")
    ),
    "newer model": Bad(_newer, ["inspect", "newer.safetensors"], 4, ("newer.safetensors", "newer version")),
    "output exists (fit)": Bad(
        _nothing, ["fit", "good.csv", "-o", "model.safetensors", *FAST], 5, ("model.safetensors exists", "--overwrite")
    ),
    "output exists (score)": Bad(
        _text("scores.csv", "kept"), _score("good.csv"), 5, ("scores.csv exists", "--overwrite")
    ),
    "output exists (sample)": Bad(
        _text("x.csv", "kept"),
        ["sample", "model.safetensors", "-n", "5", "-o", "x.csv"],
        5,
        ("x.csv exists", "--overwrite"),
    ),
    "log exists": Bad(_text("run.csv", "kept"), _fit("good.csv", "--log", "run.csv"), 5, ("run.csv exists",)),
    "output is the input": Bad(
        _nothing, ["score", "model.safetensors", "good.csv", "-o", "good.csv", "--overwrite"], 5, ("good.csv", "input")
    ),
    "output folder missing": Bad(
        _nothing, ["fit", "good.csv", "-o", "no/new.safetensors", *FAST], 5, ("no/new.safetensors", "folder no")
    ),
    "output folder is a file": Bad(
        _nothing, ["fit", "good.csv", "-o", "good.npy/m.safetensors", *FAST], 5, ("good.npy", "not a folder")
    ),
    "output folder unwritable": Bad(
        _nothing, ["fit", "good.csv", "-o", "/proc/new.safetensors", *FAST], 5, ("/proc", "cannot be written to")
    ),
    "unknown output extension (fit)": Bad(
        _nothing, ["fit", "good.csv", "-o", "m.pt", *FAST], 2, ("m.pt", ".safetensors")
    ),
    "unknown output extension (sample)": Bad(
        _nothing, ["sample", "model.safetensors", "-n", "5", "-o", "x.txt"], 2, ("x.txt", ".csv, .npy, .npz")
    ),
    "-n 0": Bad(_nothing, ["sample", "model.safetensors", "-n", "0", "-o", "x.csv"], 2, ("-n 0", "at least 1")),
    "--batch-size 0": Bad(_nothing, _fit("good.csv", "--batch-size", "0"), 2, ("--batch-size 0", "at least 1")),
    "--learning-rate 0": Bad(
        _nothing, _fit("good.csv", "--learning-rate", "0"), 2, ("--learning-rate 0", "more than 0")
    ),
    "--validation 1.5": Bad(_nothing, _fit("good.csv", "--validation", "1.5"), 2, ("--validation 1.5",)),
    "everything held out": Bad(
        _nothing, _fit("good.csv", "--validation", "0.5", "--test", "0.5"), 2, ("--validation", "--test")
    ),
    "--epochs and --steps": Bad(_nothing, _fit("good.csv", "--epochs", "1"), 2, ("--epochs", "--steps")),
    "--resume without a run": Bad(_nothing, _fit("good.csv", "--resume"), 2, ("--resume", "new.training.safetensors")),
    "left-over training state": Bad(
        lambda: write_state(Path("new.training.safetensors"), {}),
        _fit("good.csv"),
        5,
        ("new.training.safetensors", "--resume", "--overwrite"),
    ),
    "something else where the state goes": Bad(
        _text("new.training.safetensors", "kept"),
        _fit("good.csv", "--overwrite"),
        5,
        ("new.training.safetensors", "choose another --out"),
    ),
    "--resume from damage": Bad(
        _text("new.training.safetensors", "kept"),
        _fit("good.csv", "--resume"),
        2,
        ("--resume", "new.training.safetensors"),
    ),
}
