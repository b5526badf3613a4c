"""A fast simulation of a detector: p(response, hits | energy, angle), closed against the full one.

The full simulation is a toy that is written down: a calorimeter whose resolution is 50 % / sqrt(E) plus a constant 3 %,
which leaks more at the back the more energetic and the less inclined a particle is, and counts hits. The energy spans
three decades. Checked: the resolution curve, and a classifier that sees the truth and may not tell fast from full. The
same density is then read the other way, as the likelihood of the energy of a measured shower.
"""

import numpy as np
import pandas
import torch

import counterflow as cf
from counterflow.diagnostics import conditional_two_sample_test

MEASURED, TRUE = ["response", "hits"], ["energy", "angle"]
BINS = ((1, 3), (3, 10), (10, 30), (30, 100), (100, 1000))


def full_simulation(rows: int, draw: np.random.Generator) -> pandas.DataFrame:
    """Energies in GeV, flat in their logarithm; visible over true energy; cells hit."""
    energy, angle = 10 ** draw.uniform(0, 3, rows), draw.uniform(0, 60, rows)
    resolution = np.sqrt(0.5**2 / energy + 0.03**2)
    leak = draw.beta(1, 15, rows) * np.log10(energy) / 3 * np.cos(np.radians(angle))
    response = np.exp(resolution * draw.normal(size=rows) - resolution**2 / 2) * (1 - leak)
    hits = draw.poisson(15 * energy**0.35 * response / np.cos(np.radians(angle)) ** 0.5)
    return pandas.DataFrame({"energy": energy, "angle": angle, "response": response, "hits": hits})


def main() -> None:
    """Fit the fast simulation, close it, then turn it round."""
    torch.set_num_threads(1)  # networks this small gain nothing from more
    draw = np.random.default_rng(0)
    showers, full = full_simulation(10_000, draw), full_simulation(6000, draw)
    model = cf.ConditionalFlowDensity(support={"response": (0, None)}, epochs=12, random_state=0)
    model.fit(showers[TRUE], showers[MEASURED])

    fast = pandas.DataFrame(model.sample(full[TRUE], random_state=1), columns=MEASURED)
    assert (fast.response > 0).all()
    assert (fast.hits >= 0).all()
    assert (fast.hits == fast.hits.round()).all()
    for low, high in BINS:
        some = (full.energy >= low) & (full.energy < high)
        (a, s), (b, t) = (table.response[some].agg(["mean", "std"]) for table in (full, fast))
        print(f"{low:4} to {high:4} GeV: response {a:.3f} full, {b:.3f} fast; spread {s:.3f} full, {t:.3f} fast")
        assert abs(a - b) < 0.05
        assert abs(t / s - 1) < 0.2

    test = conditional_two_sample_test(
        full[MEASURED].to_numpy(float),
        fast[MEASURED].to_numpy(float),
        np.column_stack([np.log10(full.energy), full.angle]),
        generator=torch.Generator().manual_seed(0),
    )
    print(f"area under the ROC curve: {test.samples.auc:.3f} ± {test.samples.auc_error:.3f}")
    print(f"full against full:        {test.control.auc:.3f} ± {test.control.auc_error:.3f}")
    assert test.samples.auc < 0.53

    # What energy had a shower that left this visible energy and these hits? Ratios to the truth bring 1 / E into p.
    shower = full[(full.energy > 40) & (full.energy < 60)].iloc[0]
    visible, grid = shower.energy * shower.response, np.geomspace(5, 500, 400)
    given = pandas.DataFrame({"energy": grid, "angle": shower.angle})
    log_likelihood = model.log_prob(given, np.column_stack([visible / grid, np.full(400, shower.hits)])) - np.log(grid)
    best, inside = grid[log_likelihood.argmax()], grid[log_likelihood > log_likelihood.max() - 2]
    print(f"energy {shower.energy:.1f} GeV; estimate {best:.1f}, between {inside.min():.1f} and {inside.max():.1f}")
    assert inside.min() < shower.energy < inside.max()


if __name__ == "__main__":
    main()
