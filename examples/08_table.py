"""A table of every kind of column goes round: fit, save, load in a new process, sample, score, with names and types.

The data are 442 diabetes patients of scikit-learn: whole numbers (age, score), positive ones (body mass index, serum
values), a flag, a column that the others are given (bp, blood pressure), and weights that turn the sample into an older
population. Every command is a process of its own that knows nothing but the files.
"""

import subprocess
import sys

import numpy as np
import pandas
import pyarrow.parquet
from sklearn.datasets import load_diabetes

import counterflow as cf

TYPES = {"age": "int16", "woman": "bool", "bmi": "float32", "s5": "float64", "target": "int64", "bp": "float64"}
FIT = "fit patients.parquet -o patients.safetensors --context bp --weight weight --support age=19..79 --support bmi=0.."
FIT += " --support target=25..346 --unit bmi=kg/m2 --unit bp=mmHg --epochs 25 --batch-size 32"


def patients() -> pandas.DataFrame:
    """Columns of several types, and weights that grow with age."""
    table = load_diabetes(as_frame=True, scaled=False).frame
    table["woman"] = table.sex == 2
    table = table[list(TYPES)].astype(TYPES)
    table["weight"] = np.exp((table.age - 48) / 15)
    return table


def counterflow(words: str) -> None:
    """A command in a new process."""
    subprocess.run([sys.executable, "-m", "counterflow", *words.split(), "--threads", "1", "--quiet"], check=True)


def main() -> None:
    """Fit, then draw, then score what was drawn, each from files only."""
    table = patients()
    table.to_parquet("patients.parquet")
    older = table.sample(500, weights="weight", replace=True, random_state=0)  # the pressures of that population
    older[["bp"]].to_csv("pressures.csv", index=False)
    counterflow(FIT)
    counterflow("sample patients.safetensors --context pressures.csv -n 10 -o drawn.parquet")
    counterflow("score patients.safetensors drawn.parquet -o scores.parquet")

    drawn, scores = pandas.read_parquet("drawn.parquet"), pandas.read_parquet("scores.parquet").log_prob
    schema = pyarrow.parquet.read_schema("drawn.parquet")
    units = {field.name: field.metadata[b"unit"].decode() for field in schema if b"unit" in (field.metadata or {})}
    print(drawn.head(3).to_string(), f"\nunits {units}", sep="\n")

    weighted = np.average(table.age, weights=table.weight)
    print(f"mean age {table.age.mean():.1f} unweighted, {weighted:.1f} weighted, {drawn.age.mean():.1f} drawn")
    assert abs(drawn.age.mean() - weighted) < 3  # ten years away from the unweighted mean
    assert np.array_equal(drawn.bp, np.repeat(older.bp, 10))
    assert drawn.age.between(19, 79).all()
    assert drawn.target.between(25, 346).all()
    assert (drawn.bmi > 0).all()

    # The estimator reads the same file, and scores a frame in any order of columns as the command does: whole numbers
    # in the middle of their cells here, with a draw of noise there.
    model = cf.ConditionalFlowDensity.load("patients.safetensors")
    again = model.log_prob(drawn[["bp"]], drawn[list(model.model_.schema.names)])
    print(f"log p of the draws: {scores.mean():.3f} nats by the command, {again.mean():.3f} by the estimator")
    assert abs(scores.mean() - again.mean()) < 0.1
    assert units == {"bmi": "kg/m2", "bp": "mmHg"}
    assert {name: str(kind) for name, kind in drawn.dtypes.items()} == TYPES


if __name__ == "__main__":
    main()
