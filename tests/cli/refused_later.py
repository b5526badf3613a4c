"""Mistakes in data that a model is used on, in contexts, and in configurations, each with the whole answer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

import counterflow as cf
from cli.refused import DATA, MODEL, OUTPUT, USAGE, Refused, changed, fit, nothing, one_in, sample, score, text
from cli.running import FAST, ROLES, events, table, write_events


def positive_decades() -> None:
    """A model whose context spans decades and is taken by its logarithm, and rows with a zero there."""
    from counterflow.cli.app import app

    energy = np.logspace(0, 4, 80)
    write_events("x.parquet", energy=energy)
    try:
        app(["fit", "x.parquet", "-o", "log.safetensors", *ROLES, *FAST, "--quiet"])
    except SystemExit:
        energy[6] = 0.0
        write_events("x.parquet", energy=energy)


CHANGED_COLUMNS = {
    "integers became fractions": Refused(
        changed(n=events()["n"] + 0.5),
        score(),
        DATA,
        "x.parquet, row 1: column 'n' held whole numbers when the model was fitted, and now "
        f"{events()['n'][0] + 0.5:g}",
    ),
    "numbers became text": Refused(
        text("x.csv", "energy,n,pt,cos,flag\n20,3,1.5,0,1\n20,three,1.5,0,1\n"),
        score(data="x.csv"),
        DATA,
        "x.csv, line 3, column 'n': expected a number, got 'three'",
    ),
    "missing columns": Refused(
        changed(pt=None, cos=None),
        score(),
        DATA,
        "x.parquet has no columns 'pt', 'cos', which the model was fitted to",
    ),
    "renamed column": Refused(
        changed(pt=None, PT=events()["pt"]),
        score(),
        DATA,
        "x.parquet has no column 'pt', which the model was fitted to (it has column 'PT', unknown to the model)",
    ),
    "missing context": Refused(
        changed(energy=None), score(), DATA, "x.parquet has no column 'energy', which the model was fitted to"
    ),
    "too few columns without names": Refused(
        lambda: np.save("x.npy", table()[:, :2]),
        score(data="x.npy"),
        DATA,
        "x.npy has 2 columns, expected 5, as the model was fitted to",
    ),
    "a bound without whole numbers": Refused(
        nothing,
        score("--bound", "5", model="model", data="good.csv"),
        USAGE,
        "--bound: no column of this model holds whole numbers, so there is no log P to bound",
    ),
    "a bound of nothing": Refused(nothing, score("--bound", "0"), USAGE, "--bound 0: expected at least 1"),
    "zero where a logarithm is taken": Refused(
        positive_decades,
        score(model="log"),
        DATA,
        "x.parquet, row 7: context column 'energy' was positive in all training rows, and now is 0",
    ),
}

CONTEXT_MISTAKES = {
    "no context": Refused(
        nothing,
        sample(),
        USAGE,
        "this model is given energy: name values, --given energy=30.54, or a file of them, --context FILE",
    ),
    "two contexts": Refused(
        nothing,
        sample("--given", "energy=20", "--context", "events.parquet"),
        USAGE,
        "this model is given energy: name values, --given energy=30.54, or a file of them, --context FILE",
    ),
    "a context for a model without": Refused(
        nothing,
        sample("--given", "energy=20", model="model"),
        USAGE,
        "this model takes no context: leave out --given and --context",
    ),
    "a file of contexts for a model without": Refused(
        nothing,
        sample("--context", "events.parquet", model="model"),
        USAGE,
        "this model takes no context: leave out --given and --context",
    ),
    "another name": Refused(nothing, sample("--given", "pt=20"), USAGE, "--given pt: the model is given energy"),
    "no number": Refused(
        nothing, sample("--given", "energy=high"), USAGE, "--given 'energy=high': 'high' is not a number"
    ),
    "NaN": Refused(nothing, sample("--given", "energy=nan"), USAGE, "--given 'energy=nan': 'nan' is not a number"),
    "infinity": Refused(
        nothing, sample("--given", "energy=inf"), USAGE, "--given 'energy=inf': expected a finite number"
    ),
    "twice": Refused(nothing, sample("--given", "energy=1,energy=2"), USAGE, "--given speaks of 'energy' twice"),
    "no value": Refused(nothing, sample("--given", "energy"), USAGE, "--given 'energy': expected NAME=NUMBER"),
    "NaN in a file": Refused(
        changed(energy=one_in(np.nan, 5, "energy")),
        sample("--context", "x.parquet"),
        DATA,
        "x.parquet: 1 row has a cell without a finite number (1 missing or NaN), first at row 6, column 'energy'",
    ),
    "text in a file": Refused(
        text("c.csv", "energy\n20\nhigh\n"),
        sample("--context", "c.csv"),
        DATA,
        "c.csv, line 3, column 'energy': expected a number, got 'high'",
    ),
    "a file without rows": Refused(
        text("c.csv", "energy\n"), sample("--context", "c.csv"), DATA, "c.csv holds no rows"
    ),
    "a file without the column": Refused(
        text("c.csv", "E\n1\n"),
        sample("--context", "c.csv"),
        DATA,
        "c.csv has no column 'energy', which the model is given (it has column 'E', unknown to the model)",
    ),
    "--array without a file": Refused(
        nothing,
        sample("--given", "energy=20", "--array", "x"),
        USAGE,
        "--array speaks of the file of --context, and there is none",
    ),
    "zero where a logarithm is taken": Refused(
        positive_decades,
        sample("--given", "energy=0", model="log"),
        USAGE,
        "--given: context column 'energy' was positive in all training rows, and now is 0",
    ),
}


def config(content: str) -> tuple[Callable[[], object], list[str]]:
    return text("run.toml", content), fit("--config", "run.toml")


CONFIG_MISTAKES = {
    "unknown key": Refused(
        *config("step = 4\n"), USAGE, "--config run.toml: 'step' is not an option of fit; did you mean 'steps'?"
    ),
    "text for a number": Refused(
        *config('patience = "four"\n'), USAGE, '--config run.toml: patience = "four", expected a whole number'
    ),
    "a fraction for a whole number": Refused(
        *config("patience = 4.5\n"), USAGE, "--config run.toml: patience = 4.5, expected a whole number"
    ),
    "a truth for a number": Refused(
        *config("seed = true\n"), USAGE, "--config run.toml: seed = true, expected a whole number"
    ),
    "a number for a truth": Refused(
        *config("drop-missing = 1\n"), USAGE, "--config run.toml: drop-missing = 1, expected true or false"
    ),
    "numbers for names": Refused(
        *config("columns = [1, 2]\n"), USAGE, "--config run.toml: columns = [1, 2], expected a list of texts"
    ),
    "an unknown model": Refused(
        *config('model = "best"\n'),
        USAGE,
        '--config run.toml: model = "best", expected one of recommended, maf, nsf, nsf-coupling, realnvp, nice, made, '
        "made-mog",
    ),
    "a number out of range": Refused(
        *config("validation = 2\n"), USAGE, "--validation 2: expected a share of the rows, from 0 to less than 1"
    ),
    "not TOML": Refused(
        *config("patience == 4\n"),
        USAGE,
        "--config run.toml is not TOML: Invalid value (at line 1, column 11)",
    ),
    "not text": Refused(
        lambda: Path("run.toml").write_bytes(b"\xff\xfe"),
        fit("--config", "run.toml"),
        USAGE,
        "--config run.toml is not TOML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    "missing file": Refused(
        nothing, fit("--config", "none.toml"), USAGE, "--config none.toml: no such file or directory"
    ),
    "the configuration written back exists": Refused(
        lambda: (Path("run.toml").touch(), Path("new.used.toml").write_text("# Written by counterflow fit.\n")),
        fit("--config", "run.toml"),
        OUTPUT,
        "new.used.toml exists; --overwrite replaces it",
    ),
    "a model without a configuration": Refused(
        lambda: cf.save("bare.safetensors", cf.models.maf(2, layers=1, hidden=(8,))),
        ["inspect", "bare.safetensors", "--config"],
        MODEL,
        "bare.safetensors does not say with which options it was made",
    ),
}
