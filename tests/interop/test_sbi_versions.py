"""Libraries that are missing, broken, or of another version: the sentence, and where the warning points."""

import importlib
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest

from counterflow.interop.libraries import TESTED, UntestedVersion, library

ROOT = Path(__file__).resolve().parents[2]
NEEDED_BY = {
    "counterflow.interop.sbi": ("sbi", "sbi"),
    "counterflow.interop.lampe": ("lampe", "lampe"),
    "counterflow.interop.nessai": ("nessai", "nessai"),
    "counterflow.interop.pyro_guide": ("pyro", "pyro-ppl"),
    "counterflow.interop.pyro_distribution": ("pyro", "pyro-ppl"),
}


BROKEN = {  # module -> one that its library imports
    "counterflow.interop.sbi": "nflows",
    "counterflow.interop.lampe": "zuko",
    "counterflow.interop.nessai": "glasflow",
    "counterflow.interop.pyro_guide": "opt_einsum",
}
IMPORTS = """
import importlib, sys
for module, absent in {pairs}:
    for name in [name for name in sys.modules if name.split(".")[0] in ("sbi", "lampe", "nessai", "pyro", "zuko")]:
        del sys.modules[name]
    held, sys.modules[absent] = sys.modules.get(absent), None
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(module, type(error).__name__, error, sep="; ")
    sys.modules.update({{absent: held}} if held else {{}})
"""


def failures(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """What is said where a module is imported and another one is absent."""
    program = IMPORTS.format(pairs=pairs)
    command = [sys.executable, "-W", "ignore", "-c", program]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.split("; ", 1) for line in said.splitlines())


def test_a_missing_library_is_named_with_its_extra() -> None:
    said = failures([(module, needed) for module, (needed, _) in NEEDED_BY.items()])
    for module, (_, distribution) in NEEDED_BY.items():
        extra = f"'counterflow[{TESTED[distribution].extra}]'"
        assert said[module] == f"ImportError; {distribution} is not installed: pip install {extra} brings it"


def test_a_library_with_a_broken_import_is_not_called_missing() -> None:
    said = failures(list(BROKEN.items()))
    for module, broken in BROKEN.items():
        assert said[module].startswith("ModuleNotFoundError")
        assert broken in said[module]
        assert "is not installed" not in said[module]


@pytest.mark.parametrize("distribution", TESTED)
def test_what_is_tested_is_what_the_extras_bring_and_what_is_pinned(distribution: str) -> None:
    known = TESTED[distribution]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(line.startswith(f"{distribution}>=") for line in extras[known.extra])
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert f"{distribution}=={known.last}" in pinned
    oldest = (ROOT / "constraints-oldest.txt").read_text().splitlines()
    assert any(line.startswith(f"{distribution}==") for line in oldest)


@pytest.mark.parametrize("distribution", TESTED)
def test_the_version_that_is_installed_does_not_warn(distribution: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(TESTED[distribution].module)
        warnings.simplefilter("error", UntestedVersion)
        library(distribution)


PROGRAM = """
import importlib.metadata, warnings
real = importlib.metadata.version
importlib.metadata.version = lambda name: "99.1" if name in {names} else real(name)
warnings.simplefilter("ignore")
{before}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    {line}  # the user's line
    {line}
from counterflow.interop import UntestedVersion
for warning in caught:
    if warning.category is UntestedVersion:
        print("WARNED", str(warning.message), ":", open(warning.filename).read().splitlines()[warning.lineno - 1])
"""

CALLS: dict[str, tuple[str, str, str]] = {  # what warns -> (before, the line, what is said)
    "sbi": ("import sbi.inference", "import counterflow.interop.sbi", "sbi 99.1 was not tested, only 0.27.0"),
    "lampe": (
        "import lampe",
        "from counterflow.interop import lampe",
        "lampe 99.1 was not tested, only 0.9.0",
    ),
    "nessai": (
        "import nessai",
        "from counterflow.interop.nessai import Maf",
        "nessai 99.1 was not tested, only 0.15.2",
    ),
    "pyro-ppl": (
        "import torch, pyro\nfrom counterflow.interop import from_pyro\nfrom pyro.distributions.transforms import "
        "affine_autoregressive\nlaw = pyro.distributions.TransformedDistribution(pyro.distributions.Normal("
        "torch.zeros(3), torch.ones(3)).to_event(1), [affine_autoregressive(3, [16])])",
        "from_pyro(law)",
        "pyro-ppl 99.1 was not tested, only 1.9.1 to 1.9.2; conversions check themselves on random inputs",
    ),
    "nflows": (
        "from counterflow.interop import from_nflows\nfrom nflows import flows, transforms, distributions\n"
        "law = flows.Flow(transforms.MaskedAffineAutoregressiveTransform(3, 16), distributions.StandardNormal([3]))",
        "from_nflows(law)",
        "nflows 99.1 was not tested, only 0.14; conversions check themselves on random inputs",
    ),
}


@pytest.mark.parametrize("distribution", CALLS)
def test_another_version_is_told_once_and_at_the_line_of_the_user(distribution: str, tmp_path: Path) -> None:
    before, line, words = CALLS[distribution]
    script = tmp_path / "script.py"
    script.write_text(PROGRAM.format(names=(distribution,), before=before, line=line))
    done = subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True, cwd=tmp_path)
    told = [text for text in done.stdout.splitlines() if text.startswith("WARNED")]
    assert told == [f"WARNED {words} :     {line}  # the user's line"]


def test_a_warning_made_an_error_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99.2")
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UntestedVersion, match=r"zuko 99\.2"):
                library("zuko")


def test_versions_within_the_range_are_silent(monkeypatch: pytest.MonkeyPatch, recwarn: Any) -> None:
    for version in ("1.4.0", "1.5", "1.6.0.post1", "1.6.0"):
        monkeypatch.setattr(importlib.metadata, "version", lambda name, found=version: found)
        library("zuko")
    assert not recwarn.list
