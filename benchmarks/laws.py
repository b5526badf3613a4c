"""The laws in numbers: classes x laws, planted mistakes caught, run time; writes results/laws.md.

Run from the repository: python benchmarks/laws.py
"""

import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch

from counterflow.testing import LawBroken, enforce, laws

REPOSITORY = Path(__file__).parents[1]
RESULT = REPOSITORY / "benchmarks" / "results" / "laws.md"
# The tables of the tests are the tables measured here; this file must not be found under their name, `laws`.
sys.path[0] = str(REPOSITORY / "tests")

from laws.planted import PLANTED, Planted  # noqa: E402
from laws.table import TABLE  # noqa: E402


def attempt(kind: str, law: str, make: Any, options: Any) -> tuple[int, LawBroken | None]:
    """Cases tried, and what broke."""
    try:
        return enforce(kind, law, make, **options), None
    except LawBroken as broken:
        return 1, broken


def report() -> list[str]:
    lines = [
        "| kind | classes | laws | classes x laws | cases tried | broken | CPU seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    broken: list[str] = []
    for kind, entries in TABLE.items():
        start, cases, found = time.process_time(), 0, len(broken)
        for name, entry in entries.items():
            for law in laws(kind):
                count, error = attempt(kind, law.name, entry.make, entry.options)
                cases += count
                broken += [f"- {name}: {error}"] if error else []
        seconds = time.process_time() - start
        count = len(laws(kind))
        row = (kind, len(entries), count, len(entries) * count, cases, len(broken) - found, f"{seconds:.0f}")
        lines.append("| " + " | ".join(str(value) for value in row) + " |")
    return [*lines, "", *broken]


def planted() -> list[str]:
    lines = ["| planted mistake | law that caught it | honest version |", "|---|---|---|"]
    for name, mistake in PLANTED.items():
        lines.append(f"| {name} | {verdict(mistake)} | {'passes' if honest(mistake) else 'FAILS'} |")
    return lines


def verdict(mistake: Planted) -> str:
    return mistake.law if attempt(mistake.kind, mistake.law, mistake.broken, mistake.options)[1] else "NOT CAUGHT"


def honest(mistake: Planted) -> bool:
    return attempt(mistake.kind, mistake.law, mistake.honest, mistake.options)[1] is None


def sentences() -> list[str]:
    lines = []
    for kind in TABLE:
        lines += [f"\n### {kind}\n", *(f"- **{law.name}**: {law.sentence}" for law in laws(kind))]
    return lines


def main() -> None:
    torch.set_num_threads(1)
    start = time.perf_counter()
    table, mistakes = report(), planted()
    caught = sum("NOT CAUGHT" not in line for line in mistakes[2:])
    machine = f"torch {torch.__version__}, Python {platform.python_version()}, one thread"
    text = [
        "# Laws\n",
        f"Written by `benchmarks/laws.py` ({machine}, {time.perf_counter() - start:.0f} s in all).\n",
        *table,
        f"\nPlanted mistakes caught by the law meant for them: **{caught} of {len(PLANTED)}**.\n",
        *mistakes,
        "\n## Every law in its sentence",
        *sentences(),
    ]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text[:12]))
    print(f"written to {RESULT.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
