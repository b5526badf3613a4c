"""The tables of benchmarks/distil.py, in Markdown."""

from __future__ import annotations

from typing import Any

Entry = dict[str, Any]


def markdown(found: Entry) -> str:
    about = found["about"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    parts = [
        "# Distillation",
        f"Written by `benchmarks/distil.py` ({about['machine']}; {versions}; one thread, seed {about['seed']}). The "
        "data sets are partial: these figures are no published-benchmark results.",
    ]
    for section, write in (("teachers", _teachers), ("shapes", _shapes), ("gradients", _gradients), ("speed", _speed)):
        if found.get(section):
            parts.append(write(found[section]))
    return "\n\n".join(parts) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _pm(value: float | None, error: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f} ± {error:.{digits}f}"


def _auc(entry: Entry) -> str:
    """With two standard errors, and the control."""
    return (
        f"{entry['auc']:.3f} ± {2 * entry['auc_error']:.3f} ({entry['control']:.3f} ± {2 * entry['control_error']:.3f})"
    )


def _teachers(cells: Entry) -> str:
    head = [
        "teacher",
        "D",
        "test log-likelihood",
        "same in density.py, by seed",
        "parameters",
        "draws lost to rounding",
    ]
    head += ["student", "parameters"]
    first = _table(
        head,
        [
            [
                name,
                str(cell["features"]),
                _pm(cell["teacher"]["test"]["mean"], cell["teacher"]["test"]["standard error"], 2),
                ", ".join(f"{score:.2f}" for score in cell["teacher"]["same in density.py"] or []) or "-",
                f"{cell['teacher']['parameters']:,}",
                f"{cell['teacher'].get('lost', 0):.2%}",
                f"5 layers of {tuple(cell['student']['hidden'])}",
                f"{cell['student']['parameters']:,}",
            ]
            for name, cell in cells.items()
        ],
    )
    stages = _table(
        ["teacher", "untrained", "after the start (steps, s)", "after the polish (steps, s)"],
        [
            [name, *(_stage(cell["student"][key]) for key in ("untrained", "start", "polish"))]
            for name, cell in cells.items()
        ],
    )
    quality = _table(
        [
            "teacher",
            "KL(q, p), nats",
            "per dimension",
            "median ESS / N",
            "ESS / N by batch",
            "k-hat by batch",
            "log normaliser, first batch",
            "KL(p, q)",
            "uncovered",
            "AUC ± 2 s.e. (control)",
        ],
        [_quality(name, cell) for name, cell in cells.items()],
    )
    corrected = _table(
        [
            "teacher",
            "resampled: distinct",
            "AUC",
            "Metropolis, 20 steps: accepted, stuck",
            "AUC",
            "rejection: accepted",
            "AUC",
        ],
        [_corrected(name, cell["corrected"]) for name, cell in cells.items()],
    )
    return "\n\n".join(
        [
            "## Students of MAFs",
            "The teacher is the MAF(5) of `benchmarks/density.py`, trained as there (digits: 1,500 updates at most).",
            first,
            "KL(student, teacher) in nats on 20,000 draws. The start is `MatchedLayers`; the polish path reverse KL, "
            "plus half as much forward KL but on bsds300, whose teacher draws rows 10^5 standard deviations out.",
            stages,
            "On five batches of 100,000 draws of the student; KL(p, q) and AUC on 5,000 exact draws of the teacher. "
            "The normaliser is stated where every k-hat is at most 0.7; 0 is right.",
            quality,
            "Corrected draws (5,000) against exact draws of the teacher: AUC ± 2 s.e. (teacher against teacher).",
            corrected,
        ]
    )


def _stage(entry: Entry) -> str:
    text = f"{entry['kl']:.3g} ± {entry['error']:.2g}"
    return text if "steps" not in entry else f"{text} ({entry['steps']:,}, {entry['cpu_s']:.0f})"


def _quality(name: str, cell: Entry) -> list[str]:
    weights, certificate = cell["weights"], cell["certificate"]
    shares = sorted(weights["effective_fraction"])
    normaliser = weights["log_normaliser"]
    return [
        name,
        _pm(weights["kl"], weights["kl_error"]),
        f"{weights['kl'] / cell['features']:.4f}",
        f"{shares[len(shares) // 2]:.3f}",
        ", ".join(f"{share:.3f}" for share in weights["effective_fraction"]),
        ", ".join(f"{k:.2f}" for k in weights["k_hat"]),
        "not stated" if normaliser is None else _pm(*normaliser[0], 4),
        _pm(certificate["forward_kl"], certificate["forward_kl_error"]),
        f"{certificate['uncovered']:.2%}",
        _auc(certificate),
    ]


def _corrected(name: str, cell: Entry) -> list[str]:
    chains, rejected = cell["metropolis"], cell["rejected"]
    refused = "refused" in rejected
    return [
        name,
        f"{cell['resampled']['distinct']:.3f}",
        _auc(cell["resampled"]),
        f"{chains['acceptance']:.3f}, {chains['stuck']:.4f}",
        _auc(chains),
        "too rare" if refused else f"{rejected['acceptance']:.3f}, error at most {rejected['error']:.1e}",
        "-" if refused else _auc(rejected),
    ]


def _shapes(cells: Entry) -> str:
    rows = []
    for name, cell in cells.items():
        ((what, share),) = cell["modes"].items()
        right = cell["modes_of_target"][what]
        rows.append(
            [
                *name.split("; "),
                _pm(cell["kl"], cell["kl_error"]),
                _pm(cell["forward_kl"], cell["forward_kl_error"]),
                f"{cell['uncovered']:.2%}",
                f"{cell['effective_fraction']:.3f}",
                f"{cell['k_hat']:.2f}",
                f"{what} {share:.3f} (target {right:.3f})",
            ]
        )
    head = ["target", "student", "objective", "KL(q, p)", "KL(p, q)", "uncovered", "ESS / N", "k-hat", "modes"]
    return "## Modes\n\n4 layers of (64, 64), 2,000 steps of 256 draws; judged on 20,000.\n\n" + _table(head, rows)


def _gradients(cells: Entry) -> str:
    rows = [
        [
            *name.split("; "),
            f"{cell['kl']:.3f}",
            label,
            f"{entry['std']:.3g}",
            f"{entry['norm']:.3g}",
            f"{1e3 * entry['cpu_s']:.1f}",
            f"{cell['objectives']['single draw']['std'] / entry['std']:.1f}",
            f"{entry['at_equal_cost']:.1f}",
        ]
        for name, cell in cells.items()
        for label, entry in cell["objectives"].items()
    ]
    head = [
        "teacher",
        "student",
        "KL",
        "objective",
        "std of the gradient",
        "norm of its mean",
        "ms",
        "times less noise",
    ]
    text = (
        "## Noise of the gradient\n\nA 16-d convolutional teacher, a student of two layers of (64, 64), batches of 64 "
        "draws. The standard deviation is the root of the variances of all parameters, summed; at equal cost it counts "
        "the root of the processor time of one gradient.\n\n"
    )
    return text + _table([*head, "at equal cost"], rows)


def _speed(cells: Entry) -> str:
    rows = []
    for name, by_batch in cells.items():
        for batch, ways in by_batch.items():
            best = max(rate for way, rate in ways.items() if way.startswith("teacher"))
            rows += [
                [name, batch, way, f"{rate:,.3g}", f"{rate / ways['teacher, naive loop']:,.3g}", f"{rate / best:.2g}"]
                for way, rate in sorted(ways.items(), key=lambda item: item[1])
            ]
    head = ["784-d teacher", "draws at once", "way", "draws a second", "x naive", "x best of the teacher"]
    text = (
        "## Draws per second\n\nThe naive loop is timed on 16 coordinates of each layer and scaled. Wall clock, the "
        "least of three rounds.\n\n"
    )
    return text + _table(head, rows)
