"""Mistakes in the roles and declarations of columns at `fit`, each with the whole answer."""

from pathlib import Path

import numpy as np

from cli.refused import DATA, USAGE, Refused, changed, fit, nothing, one_in
from cli.running import FAST, ROLES, events, write_events


def one_weight() -> np.ndarray:
    weight = np.zeros(80)
    weight[0] = 1.0
    return weight


def corrupt_folder() -> None:
    Path("parts").mkdir()
    for part in range(3):
        write_events(f"parts/{part}.parquet")
    content = Path("parts/1.parquet").read_bytes()
    Path("parts/1.parquet").write_bytes(content[: len(content) // 2])


def nameless() -> None:
    np.save("x.npy", np.column_stack(list(events().values())).astype(np.float64))


def big_integers() -> None:
    import pyarrow as pa
    import pyarrow.parquet

    pa.parquet.write_table(pa.table({"n": [2**53 + 1 + k for k in range(80)], "pt": events()["pt"]}), "x.parquet")


ROLE_MISTAKES = {
    "unknown column": Refused(
        nothing, fit("--columns", "pt,coz"), DATA, "events.parquet has no column 'coz'; did you mean 'cos'?"
    ),
    "unknown context": Refused(
        nothing, fit("--context", "enrgy"), DATA, "events.parquet has no column 'enrgy'; did you mean 'energy'?"
    ),
    "unknown weight": Refused(
        nothing,
        fit("--weight", "weights"),
        DATA,
        "events.parquet has no column 'weights'; it has 'energy', 'n', 'pt', 'cos', 'flag' and 1 more",
    ),
    "a column in two roles": Refused(
        nothing,
        fit("--columns", "pt,energy", "--context", "energy"),
        USAGE,
        "column 'energy' is named twice among --columns, --context and --weight",
    ),
    "a column twice": Refused(
        nothing, fit("--columns", "pt,pt"), USAGE, "column 'pt' is named twice among --columns, --context and --weight"
    ),
    "no column left": Refused(
        nothing,
        fit("--context", "energy,n,pt,cos,flag", "--weight", "w"),
        DATA,
        "events.parquet: no column is left for the density; all are named in --context or --weight",
    ),
    "--columns of nothing": Refused(nothing, fit("--columns", ""), USAGE, "--columns names nothing"),
    "a number beyond the columns": Refused(
        nameless,
        fit("--columns", "1,9", data="x.npy"),
        DATA,
        "x.npy has no column '9': its columns have no names, choose among the numbers 1 to 6",
    ),
    "weights that sum to zero": Refused(
        changed(w=np.zeros(80)),
        fit(*ROLES, data="x.parquet"),
        DATA,
        "x.parquet: the weights in column 'w' sum to 0; the sum must be positive",
    ),
    "negative weights": Refused(
        changed(w=-np.ones(80)),
        fit(*ROLES, data="x.parquet"),
        DATA,
        "x.parquet: the weights in column 'w' sum to -80; the sum must be positive",
    ),
    "no weight on the rows that decide when to stop": Refused(
        changed(w=one_weight()),
        fit(*ROLES, data="x.parquet"),
        DATA,
        "x.parquet: the weights of the 8 validation rows sum to 0; the sum must be positive",
    ),
    "gap in a weight": Refused(
        changed(w=one_in(np.nan, 4, "w")),
        fit(*ROLES, data="x.parquet"),
        DATA,
        "x.parquet: 1 row has a cell without a finite number (1 missing or NaN), first at row 5, column 'w'; "
        "--drop-missing goes on without them",
    ),
    "a corrupt file in a folder": Refused(
        corrupt_folder,
        fit(*ROLES, data="parts"),
        DATA,
        "parts/1.parquet is damaged or cut short (Parquet magic bytes not found in footer. Either the file is "
        "corrupted or this is not a parquet file.)",
    ),
    "integers beyond 2**53": Refused(
        big_integers,
        fit(data="x.parquet"),
        DATA,
        "x.parquet, row 1: column 'n' holds the integer 9007199254740993, and double precision cannot hold every "
        "integer beyond 2**53; choose columns with --columns",
    ),
    "constant column": Refused(
        changed(pt=np.full(80, 2.5)),
        fit(*ROLES, data="x.parquet"),
        DATA,
        "x.parquet: column 'pt' is constant (every row holds 2.5), so it has no density",
    ),
}

DECLARATION_MISTAKES = {
    "support that rows leave": Refused(
        nothing,
        fit(*ROLES, "--support", "pt=0..10"),
        DATA,
        f"events.parquet: column 'pt' is declared to lie between 0 and 10, and holds {events()['pt'][1]:g} at row 2",
    ),
    "support of an unknown column": Refused(
        nothing,
        fit(*ROLES, "--support", "ptt=0.."),
        DATA,
        "events.parquet: --support speaks of 'ptt', which is no column of the model; did you mean 'pt'?",
    ),
    "support of the weight": Refused(
        nothing,
        fit(*ROLES, "--support", "w=0.."),
        DATA,
        "events.parquet: --support speaks of 'w', which is no column of the model; those are 'n', 'pt', 'cos', 'flag', "
        "'energy'",
    ),
    "unit of an unknown column": Refused(
        nothing,
        fit("--columns", "n,pt", "--unit", "mass=GeV"),
        DATA,
        "events.parquet: --unit speaks of 'mass', which is no column of the model; those are 'n', 'pt'",
    ),
    "continuous unknown column": Refused(
        nothing,
        fit("--columns", "n,pt", "--continuous", "m"),
        DATA,
        "events.parquet: --continuous speaks of 'm', which is no column of the model; those are 'n', 'pt'",
    ),
    "support without an interval": Refused(
        nothing, fit("--support", "pt"), USAGE, "--support 'pt': expected NAME=LOW..HIGH"
    ),
    "support of a single number": Refused(
        nothing,
        fit("--support", "pt=3"),
        USAGE,
        "--support pt=3: expected LOW..HIGH, either empty where there is no end",
    ),
    "support upside down": Refused(
        nothing, fit("--support", "pt=3..1"), USAGE, "--support pt=3..1: expected the lower end first"
    ),
    "support of words": Refused(
        nothing, fit("--support", "pt=low..1"), USAGE, "--support 'pt=low..1': 'low' is not a number"
    ),
    "support twice": Refused(
        nothing, fit("--support", "pt=0..", "--support", "pt=.."), USAGE, "--support speaks of 'pt' twice"
    ),
    "support between whole numbers": Refused(
        nothing,
        fit(*ROLES, "--support", "n=-0.5..100"),
        DATA,
        "events.parquet: column 'n' holds whole numbers, its support -0.5..100 ends between two of them; round the "
        "ends, or say that it is continuous",
    ),
    "unit without a name": Refused(nothing, fit("--unit", "GeV"), USAGE, "--unit 'GeV': expected NAME=UNIT"),
    "--report without held-out rows": Refused(
        nothing,
        fit("--validation", "0", "--test", "0", "--report", "r.html"),
        USAGE,
        "--report: no rows are held out to judge the model by; raise --test, or leave out --report",
    ),
    "two outputs of one name": Refused(
        nothing,
        ["fit", "good.csv", "-o", "new.safetensors", *FAST, "--log", "a.csv", "--report", "a.csv"],
        USAGE,
        "a.csv: cannot write .csv, only .html",
    ),
    "a seed too long": Refused(
        nothing, fit("--seed", "4294967296"), USAGE, "--seed 4294967296: expected 0 to 4294967295"
    ),
}
