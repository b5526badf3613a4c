"""Reports of made-up results: a weighted table of mixed columns, and a conditional model."""

import numpy as np

from counterflow.diagnostics import Estimate
from counterflow.report import (
    Calibration,
    Clouds,
    ColumnFacts,
    Coverage,
    Curve,
    DataFacts,
    Figure,
    HeldOutLikelihood,
    MarginalDistance,
    Memorisation,
    ModelFacts,
    Report,
    Timing,
    Timings,
    Training,
    TwoSample,
    Uniform,
    image_grid,
)

COLUMNS = (
    ColumnFacts("mass", unit="GeV", support="0 or more, declared", smallest=0.31, largest=212.4),
    ColumnFacts("energy", unit="MeV", support="0 or more, detected", smallest=0.0021, largest=91231.0),
    ColumnFacts("hits", kind="integer", support="0 to 12, detected", smallest=0.0, largest=12.0),
    ColumnFacts("is_tagged", kind="boolean", support="0 to 1, detected", smallest=0.0, largest=1.0),
    ColumnFacts("eta", smallest=-4.4, largest=4.5, missing=12),
    ColumnFacts("phi", unit="rad", support="-3.14159 to 3.14159, declared", smallest=-3.1415, largest=3.1414),
    ColumnFacts("transverse_momentum_of_the_leading_jet_<b>", unit="GeV/c", smallest=20.0, largest=703.2),
    ColumnFacts("$n_{tracks}$", kind="integer", smallest=3.0, largest=211.0),
    ColumnFacts("time", unit="s", smallest=1_690_000_000.2, largest=1_690_086_399.9),
)
WEIGHT = ColumnFacts("w", support="any number of positive sum", smallest=0.02, largest=8.1, role="weight")


def rows(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Columns that hang together; the shift moves some of them."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(count, 4))
    peak = random.random(count) < 0.3 + 0.5 * shift
    mass = np.where(peak, 91 + 3 * z[:, 0], 40 * random.gamma(2.0, 1.0, count))
    energy = np.exp(2.2 * z[:, 1] + 0.6 * z[:, 0] + shift)
    hits = random.binomial(12, 1 / (1 + np.exp(-z[:, 2] - 0.4 * z[:, 1])))
    tagged = random.random(count) < 1 / (1 + np.exp(-(hits - 6.0)))
    eta = np.tanh(z[:, 3]) * 2 + 0.7 * random.normal(size=count)
    phi = random.uniform(-np.pi, np.pi, count)
    momentum = 20 + 30 * np.exp(0.5 * z[:, 1] + 0.4 * z[:, 3])
    tracks = random.poisson(30 + 20 * np.abs(eta))
    time = 1_690_000_000 + 86400 * random.beta(2, 3, count)
    return np.column_stack([mass, energy, hits, tagged, eta, phi, momentum, tracks, time]).astype(float)


def clouds(count: int = 4000, weighted: bool = True) -> Clouds:
    data, samples = rows(count, 1), rows(count, 2, 0.12)
    weights = np.exp(0.5 * np.random.default_rng(3).normal(size=count)) if weighted else None
    values = (0.061, 0.034, 0.011, 0.012, 0.009, 0.013, 0.010, 0.012, 0.008)
    distances = [MarginalDistance(value, 0.012, 1e-5 if value > 0.03 else 0.8) for value in values]
    return Clouds(columns=COLUMNS, data=data, samples=samples, data_weights=weights, distances=distances)


def uniforms(names: list[str], rows: int = 4000, bend: float = 0.0, seed: int = 4) -> list[Uniform]:
    random = np.random.default_rng(seed)
    return [Uniform(*one(name, random, rows, bend if i == 0 else 0.0)) for i, name in enumerate(names)]


def one(name: str, random: np.random.Generator, rows: int, bend: float) -> tuple[str, np.ndarray, float, float, float]:
    v = np.sort(random.beta(1 - bend, 1 - bend, rows))
    distance = float(np.abs(v - (np.arange(rows) + 0.5) / rows).max())
    p = float(min(1.0, 2 * np.exp(-2 * rows * distance**2)))
    return name, np.histogram(v, 20, (0, 1))[0].astype(float), float(rows), distance, p


def coverage(gap: float, rows: int = 4000, seed: int = 5) -> Coverage:
    nominal = np.linspace(0.05, 0.95, 19)
    true = nominal + 4 * gap * nominal * (1 - nominal)
    achieved = np.random.default_rng(seed).binomial(rows, true) / rows
    return Coverage(nominal.tolist(), achieved.tolist(), np.sqrt(true * (1 - true) / rows).tolist())


def curve(name: str, best: float, seed: int = 6) -> Curve:
    steps = np.arange(20, 2001, 20.0)
    training = best + 0.9 - 9 * np.exp(-steps / 150) + 0.0004 * (steps - 1000)
    noise = 0.05 * np.random.default_rng(seed).normal(size=len(steps))
    held_out = best + 0.5 - 9 * np.exp(-steps / 150) - 3e-7 * np.maximum(steps - 900, 0) ** 2 + noise
    kept = float(steps[int(np.argmax(held_out))])
    return Curve(name, steps.tolist(), (training + noise).tolist(), held_out.tolist(), kept)


def two_sample(auc: float) -> TwoSample:
    return TwoSample(
        Estimate(auc, 0.0091, 8000),
        Estimate(0.5 + 0.7 * (auc - 0.5), 0.0056, 8000),
        Estimate(0.5031, 0.0092, 4000),
        Estimate(0.4988, 0.0079, 4000),
        "gradient-boosted trees (scikit-learn)",
    )


def memorisation(share: float, shrink: float = 1.0) -> Memorisation:
    random = np.random.default_rng(7)
    near, far = shrink * random.gamma(6, 0.1, 3000), random.gamma(6, 0.1, 3000)
    return Memorisation(near, far, Estimate(share, 0.004, 3000), 0.05)


def full_report(count: int = 4000) -> Report:
    """Every section, one check of each kind of outcome."""
    names = [column.name for column in COLUMNS]
    return Report(
        title="A density of dimuon_2026.parquet",
        subtitle="9 columns; recommended flow, fitted 2026-11-21 by counterflow 0.1.0",
        warnings=["The column event_id holds a different whole number in every row and was left out."],
        missing=["The base-space PIT of noise 3 is not here: it is not finite."],
        likelihood=HeldOutLikelihood(
            rows_are="test rows",
            model=Estimate(-18.124, 0.041, count),
            gaussian=Estimate(-31.402, 0.112, count),
            gain=Estimate(13.278, 0.094, count),
            previous=Estimate(-18.291, 0.043, count),
            previous_gain=Estimate(0.167, 0.012, count),
            previous_name="model_v1.safetensors",
            note="Whole numbers k (hits, is_tagged) are scored by the density of k + u, u uniform in [0, 1).",
        ),
        images=[Figure(image_grid(np.random.default_rng(8).random((20, 16)), (4, 4), 10, (0.0, 1.0)), "20 test rows")],
        clouds=clouds(count),
        calibration=Calibration(
            base=uniforms([f"noise {i + 1}" for i in range(9)], seed=10),
            coordinates=uniforms([f"{name}" for name in names], bend=0.12),
            coverage=coverage(-0.021),
        ),
        two_sample=two_sample(0.538),
        memorisation=memorisation(0.052),
        training=Training([curve("this model", -18.0), curve("model_v1", -18.6, 11)], "2,000 steps in 74 s."),
        timings=Timings(
            "x86_64, Linux, 2 threads",
            [
                Timing("score", "5 parallel network passes", 1, 0.0021),
                Timing("sample", "45 small steps that wait for each other", 1, 0.0034),
                Timing("score", "5 parallel network passes", 1000, 0.048),
                Timing("sample", "45 small steps that wait for each other", 1000, 0.067),
            ],
        ),
        model=ModelFacts(
            [
                "noise: standard normal",
                "4 times (between them: the columns in another order): masked layer",
                "own units",
            ],
            ["Scoring needs one pass; sampling many small steps."],
            {"Parameters": "900,480", "Seed": "0", "Versions": "counterflow 0.1.0, torch 2.13.0, python 3.11.7"},
        ),
        data=DataFacts(
            {
                "File": "dimuon_2026.parquet",
                "Rows": "40,000",
                "Split": "32,000 to train on, 4,000 to stop by, 4,000 to judge",
            },
            [*COLUMNS, WEIGHT],
        ),
        command="counterflow fit dimuon_2026.parquet --weight w -o model.safetensors --seed 0\n"
        "counterflow report model.safetensors dimuon_2026.parquet --previous model_v1.safetensors -o report.html",
    )


def conditional_report() -> Report:
    """A density given a context: ranks and TARP instead of the base space."""
    columns = (ColumnFacts("response", unit="mV"), ColumnFacts("width", unit="ns"))
    random = np.random.default_rng(12)
    context = random.uniform(1, 100, 1500)
    both = [np.column_stack([s * context + random.normal(size=1500) * 4, random.gamma(3, 2, 1500)]) for s in (1, 1.02)]
    names = [column.name for column in columns]
    return Report(
        title="Response and width given energy",
        command="counterflow report m.safetensors beam.csv -o r.html",
        likelihood=HeldOutLikelihood(rows_are="test rows", model=Estimate(-5.12, 0.03, 1500)),
        clouds=Clouds(
            columns=columns,
            data=both[0],
            samples=both[1],
            distances=[MarginalDistance(0.02, 0.021, 0.5), MarginalDistance(0.019, 0.022, 0.6)],
            note="Each sample was drawn given the context of one of these rows.",
        ),
        calibration=Calibration(
            coordinates=uniforms(names, 1500),
            coverage=coverage(-0.08, 1500),
            ranks=uniforms(names, 1500, seed=13),
            tarp=coverage(-0.05, 1500, 14),
        ),
        two_sample=two_sample(0.509),
        memorisation=memorisation(0.21, 0.5),
    )
