"""What `torch.compile` and `torch.export` are supported to do with a flow; docs/torch-features.md says it in words.

Each kind of case runs in a process of its own, without the shape checks of the tests, which no compiler can follow.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from torch_features.flows import ALL_FLOWS, DIRECTIONS, FLOWS

SCRIPT = Path(__file__).with_name("tracing_script.py")

# Values within one graph (`fullgraph=True`); exports with a batch axis of any size. The slow tests hold every flow of
# `flows.py` to the same, and compiled gradients in points and parameters too.
EXPORTS = ("export of maf", "export of realnvp", "strict export of maf")
QUICK = ("eager of the five", *EXPORTS, "methods")
SLOW = ("aot_eager of all", "export of all", "strict export of all")

# The methods of a flow, compiled; "right", or how the error begins.
METHODS = {
    "plain_tensors sees a compiler": "right",
    "plain_tensors sees an exporter": "right",
    "log_prob": "right",
    "sample": "right",
    "rsample_and_log_prob": "right",
    "conditionals": "right",
    "given a context": "right",
    "sample with a generator, whole graph": "Unsupported: ",  # torch compiles no generator
    "sample with a generator": "right",
    "sample_given_prefix, whole graph": "Unsupported: ",  # it makes a generator of its own
    "sample_given_prefix": "right",
    "another batch size": "right",
    "parameters updated in place": "right",
    "a wrong shape, whole graph": "Unsupported: Observed exception",  # torch lets no error out of a whole graph
    "a wrong shape": r"ValueError: expected x with 3 features in its last axis, got shape \(4, 2\)",
    "a value outside a support": "right",  # NaN: no value can be read, so none can be refused
    "a compiled module's own methods": "right",  # they are not compiled
    "exported draws": "right",
}


def run(kinds: tuple[str, ...], folder: Path) -> dict[str, dict[str, str]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCHINDUCTOR_CACHE_DIR": str(folder)}
    command = [sys.executable, str(SCRIPT), *kinds]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    return run(QUICK, tmp_path_factory.mktemp("compiled"))


def all_right(names: Any) -> dict[str, str]:
    return {f"{name}, {direction}": "right" for name in names for direction in DIRECTIONS}


def test_both_directions_compile_into_one_graph(outcomes: dict[str, dict[str, str]]) -> None:
    assert outcomes["eager of the five"] == all_right(FLOWS)


@pytest.mark.parametrize("kind", EXPORTS)
def test_both_directions_export_with_a_dynamic_batch(kind: str, outcomes: dict[str, dict[str, str]]) -> None:
    assert outcomes[kind] == all_right([kind.rpartition(" of ")[2]])


def test_every_method_was_tried(outcomes: dict[str, dict[str, str]]) -> None:
    assert outcomes["methods"].keys() == METHODS.keys()


@pytest.mark.parametrize("method", METHODS)
def test_a_method_compiles_as_stated(method: str, outcomes: dict[str, dict[str, str]]) -> None:
    assert re.match(METHODS[method], outcomes["methods"][method]), outcomes["methods"][method]


@pytest.mark.slow
@pytest.mark.parametrize("kind", SLOW)
def test_every_flow_compiles_and_exports(kind: str, tmp_path: Path) -> None:
    assert run((kind,), tmp_path)[kind] == all_right(ALL_FLOWS)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's own compiler needs a C++ compiler")
@pytest.mark.parametrize("name", FLOWS)
def test_the_default_compiler_gives_right_code(name: str, tmp_path: Path) -> None:
    kind = f"inductor of {name}"
    assert run((kind,), tmp_path)[kind] == all_right([name])
