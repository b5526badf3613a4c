"""The page that `fit --report` and `demo` write."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest

from cli.running import FAST, Runner
from counterflow.cli import demo
from counterflow.cli.pipeline import Recipe
from counterflow.cli.presets import Preset


def test_the_report_holds_score_pictures_layers_and_command(run: Runner) -> None:
    outcome = run("fit", "good.csv", "-o", "m.safetensors", *FAST, "--report", "r.html")
    assert outcome.code == 0
    page = Path("r.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    for words in ("nats per row", "6 test rows", "training rows and", "From noise to data", "own units"):
        assert words in page
    assert "counterflow fit good.csv --out m.safetensors --model made --steps 4 --report r.html" in page


@pytest.mark.parametrize("shape", [(2, 3), (60, 1), (5, 9)], ids=["two rows", "one column", "more columns than rows"])
def test_small_tables_get_a_report_too(shape: tuple[int, int], run: Runner) -> None:
    np.save("x.npy", np.random.default_rng(0).normal(size=shape))
    assert run("fit", "x.npy", "-o", "m.safetensors", *FAST, "--report", "r.html").code == 0
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", Path("r.html").read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_demo_writes_its_four_files_and_says_where(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "Recipe", functools.partial(Recipe, model=Preset.MADE, steps=5))
    for _ in range(2):  # the second time it replaces its own files
        outcome = run("demo", "--folder", "d", "--quiet")
        assert outcome.code == 0
    names = {"digits.npy", "model.safetensors", "samples.png", "summary.html"}
    assert {p.name for p in Path("d").iterdir()} == names
    assert all(name in outcome.out for name in names - {"digits.npy"})
    digits = np.load("d/digits.npy")
    assert digits.shape == (1797, 64)
    assert 0 <= digits.min() < digits.max() < 17
    assert not np.any(digits == np.rint(digits))
