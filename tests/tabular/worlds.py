"""Tables and models whose truth is known, for the tests of models of tables."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import counterflow as cf
from counterflow import families, models, univariate
from counterflow.bijections import Bijection, Chain, Elementwise, Standardise
from counterflow.tables.detection import Declared, Seen, described
from counterflow.tables.schema import Column, Kind, Schema
from counterflow.tabular import Cells, Fitted, Recipe, TableModel, finish, prepare

SMALL = functools.partial(models.maf, layers=1, hidden=(8,))
MARGIN = 1e-10  # of known models: an end of their support is just inside it
FEW = Recipe(steps=5, batch_size=64)

# Of each column: its type, its unit, and what is declared of it.
MIXED: dict[str, tuple[str, str | None]] = {
    "count": ("uint8", None),
    "charge": ("int8", "e"),
    "pixel": ("int32", None),
    "year": ("int64", "a"),
    "flag": ("bool", None),
    "share": ("float32", None),
    "efficiency": ("float32", None),
    "energy": ("float64", "GeV"),
    "phi": ("float32", "rad"),
    "depth": ("float32", "m"),
    "x": ("float16", "cm"),
}
SUPPORT = {"year": (1990.0, 2020.0), "efficiency": (0.1, math.pi), "depth": (-math.inf, 1e6)}
CONTEXT: dict[str, tuple[str, str | None]] = {"beam": ("float64", "GeV"), "run": ("int32", None)}


def mixed_table(rows: int = 400, seed: int = 0) -> tuple[Cells, Schema]:
    """Columns of every kind, with a weight and a context; each in its own type."""
    r = np.random.default_rng(seed)
    beam = r.lognormal(1, 2, rows)
    columns = {
        "count": r.poisson(2, rows),
        "charge": r.integers(-1, 2, rows),
        "pixel": np.clip(np.rint(r.normal(8, 9, rows)), 0, 16),
        "year": r.integers(1990, 2021, rows),
        "flag": r.uniform(size=rows) < 0.3,
        "share": r.uniform(0, 1, rows),
        "efficiency": r.uniform(0.1, 3.0, rows),
        "energy": beam * r.exponential(1, rows),
        "phi": r.uniform(-math.pi, math.pi, rows),
        "depth": 1e6 - r.exponential(500, rows),
        "x": r.normal(3, 1, rows),
    }
    given = {"beam": beam, "run": r.integers(1, 5, rows)}
    values = np.stack([columns[name].astype(dtype).astype(float) for name, (dtype, _) in MIXED.items()], 1)
    context = np.stack([given[name].astype(dtype).astype(float) for name, (dtype, _) in CONTEXT.items()], 1)
    declared = Declared(support=SUPPORT)
    own, _ = described(values, seen(MIXED), declared, "mixed.root")
    others, _ = described(context, seen(CONTEXT), Declared(), "mixed.root", role="context column")
    return Cells(values, context, r.uniform(0.5, 2, rows)), Schema(own, others, weight="w")


def seen(columns: dict[str, tuple[str, str | None]]) -> list[Seen]:
    return [Seen(name, dtype, unit, lambda row: f"entry {row}") for name, (dtype, unit) in columns.items()]


def columns_of(values: np.ndarray, names: Sequence[str] = "abcdefgh", **declared: Any) -> tuple[Column, ...]:
    """Of rows, as the file tells no types."""
    some = [Seen(name, None, None, str) for name in names[: values.shape[1]]]
    return described(values, some, Declared(**declared), "x")[0]


def fitted(cells: Cells, schema: Schema, recipe: Recipe = FEW, make: Any = SMALL) -> Fitted:
    return finish(prepare(cells, schema, recipe, "x", make=make))


class LinearGiven(cf.Conditioner):
    """mu_i = sum_{j<i} A_ij x_j + B_i c + b_i and a constant log sigma_i: the linear Gaussian model given c."""

    num_params = 2

    def __init__(self, features: int, context_features: int, seed: int = 0) -> None:
        super().__init__()
        self.features, self.context_features = features, context_features
        r = np.random.default_rng(seed)
        draws = (r.normal(size=shape) for shape in ((features, features), (features, context_features), (features,)))
        a, b, c = (torch.nn.Parameter(torch.tensor(draw)) for draw in draws)
        self.a, self.b, self.c = torch.nn.Parameter(a.detach().tril(-1)), b, c
        self.log_sigma = torch.nn.Parameter(torch.tensor(0.3 * r.normal(size=features)))

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        mu = x @ self.a.T + self.c
        if context is not None:
            mu = mu + context @ self.b.T
        return torch.stack([mu, self.log_sigma.expand(mu.shape)], -1)

    def mean(self, context: np.ndarray) -> np.ndarray:
        """E x given c: x = A x + B c + b + S e."""
        a, b, c = (p.detach().numpy() for p in (self.a, self.b, self.c))
        return (context @ b.T + c) @ np.linalg.inv(np.eye(self.features) - a).T

    def scale(self) -> np.ndarray:
        """(I - A)^-1 S, whose square is the covariance."""
        a = self.a.detach().numpy()
        return np.linalg.inv(np.eye(self.features) - a) @ np.diag(self.log_sigma.detach().exp().numpy())


def linear_gaussian(
    columns: Sequence[Column], context_features: int = 1, units: Bijection | None = None
) -> tuple[TableModel, LinearGiven]:
    """A known density of these columns, pushed through known units."""
    net = LinearGiven(len(columns), context_features)
    base = cf.AutoregressiveModel(net, families.Normal(univariate.Exp()))
    units = units or Standardise([0.0] * len(columns), [1.0] * len(columns))
    flow = cf.Flow(base, units).double().eval()
    context = tuple(Column(f"c{i}") for i in range(context_features))
    return TableModel(flow, Schema(tuple(columns), context)), net


def known_column(kind: str) -> tuple[Column, Bijection | None]:
    """A single column with a support, and the map onto it from a Gaussian."""
    facts = {"smallest": -1.0, "largest": 2.0}
    match kind:
        case "line":
            return Column("y", dtype="float64", **facts), None
        case "interval":
            column = Column("y", dtype="float64", low=0.1, high=0.7, smallest=0.2, largest=0.3)
            return column, Elementwise((univariate.Interval(0.1, 0.7, MARGIN),))
        case "above":
            column = Column("y", dtype="float64", low=3.0, smallest=3.1, largest=3.2)
            return column, Elementwise((univariate.HalfLine(3.0 - MARGIN),))
        case "below":
            column = Column("y", dtype="float64", high=-3.0, smallest=-3.2, largest=-3.1)
            return column, Elementwise((univariate.HalfLine(-3.0 + MARGIN, above=False),))
        case "integer":
            return Column("y", Kind.INTEGER, "int64", **facts), Standardise([4.0], [10.0])
        case _:
            column = Column("y", Kind.INTEGER, "int64", low=0.0, high=9.0, smallest=0.0, largest=9.0)
            return column, Chain([Elementwise((univariate.Interval(0.0, 10.0, MARGIN),))])


KNOWN = ("line", "interval", "above", "below", "integer", "levels")


def from_gaussian(kind: str, z: np.ndarray) -> np.ndarray:
    """What `known_column` maps a Gaussian z to, in NumPy, but for the margin."""
    match kind:
        case "line":
            return z
        case "interval":
            return 0.1 + 0.6 / (1 + np.exp(-z))
        case "above":
            return 3 + np.logaddexp(0, z)
        case "below":
            return -3 - np.logaddexp(0, -z)
        case "integer":
            return np.floor(4 + 10 * z)
        case _:
            return np.floor(10 / (1 + np.exp(-z)))
